import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { runCli } from '../support/cli.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { randomTree, scriptFor } from '../support/random-tree.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';
import { VolumeBench } from '../support/volume-bench.ts';
import { kept, oneOfEverything, readTree, type Tree } from '../support/volume-tree.ts';

const images = {
  'GNU tar': testImage('postgres:17'),
  'busybox tar': testImage('postgres:17-alpine'),
} as const;
type Flavour = keyof typeof images;

const prefix = `archives-${randomBytes(4).toString('hex')}`;
let scratch: ScratchFolder;
let bench: VolumeBench;
let store: string;
/** Where the archives of a test are; the recipes' /backup. */
let dir: string;
/** Volumes and containers that a test has made by other means than the bench. */
const volumes: string[] = [];
const containers: string[] = [];

beforeAll(async () => {
  scratch = await createScratch();
  bench = await VolumeBench.start();
  store = `file:${await scratch.folder('store')}`;
});

beforeEach(async () => {
  dir = await scratch.folder('backup');
});

afterEach(async () => {
  if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers.splice(0));
  if (volumes.length > 0) await docker('volume', 'rm', '--force', ...volumes.splice(0));
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
  await scratch.remove();
});

/** stdout of a command that must succeed. */
async function snapvol(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runCli(args, {
    ...{ cwd: dir, env: { SNAPVOL_STORE: store } },
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) });
  return stdout;
}

let count = 0;
const newKey = (): string => `${prefix}-${++count}`;

/** The new volume with what the only volume of a snapshot holds. */
async function restored(key: string): Promise<string> {
  const volume = `${prefix}-${++count}`;
  volumes.push(volume);
  await snapvol('restore', key, '--volume', volume, '--image', images['GNU tar']);
  return volume;
}

/** As recipes on the web have it: `docker run --rm -v VOLUME:/data -v $PWD:/backup IMAGE ...`. */
async function recipe(flavour: Flavour, mounts: readonly string[], script: string): Promise<void> {
  const all = [...mounts, `${dir}:/backup`].flatMap((mount) => ['--volume', mount]);
  const command = ['--entrypoint', 'sh', images[flavour], '-euc', script];
  await docker('run', '--rm', '--network', 'none', '--user', '0:0', ...all, ...command);
}

async function filled(script: string): Promise<string> {
  const volume = await bench.volume();
  await bench.run(volume, script);
  return volume;
}

/** What plain recipes keep: no fractions of seconds. */
async function treeIn(volume: string): Promise<Tree> {
  return kept(await readTree(bench, volume), { exact: false });
}

/** What busybox keeps besides: neither the owners of symlinks, nor the times of folders and symlinks. */
function asBusybox(tree: Tree): Tree {
  return Object.fromEntries(
    Object.entries(tree).map(([name, entry]) => [
      name,
      {
        ...entry,
        ...('dl'.includes(entry.kind) && { time: '' }),
        ...(entry.kind === 'l' && { owner: '' }),
      },
    ]),
  );
}

/** Runs a property over few trees: each run starts containers. */
async function forTrees(flavour: Flavour, work: (volume: string) => Promise<void>): Promise<void> {
  // The limit of busybox when it makes archives.
  const fits = (script: string): boolean =>
    flavour === 'GNU tar' || !/ (16777216|4294967294):|:(16777216|4294967294) /.test(script);
  const scripts = randomTree.map(scriptFor).filter(fits);
  await fc.assert(
    fc.asyncProperty(scripts, async (script) => work(await filled(script))),
    { numRuns: 5, interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true },
  );
}

const flavours: readonly Flavour[] = ['GNU tar', 'busybox tar'];

describe.each(flavours)('archives that %s makes are imported', (flavour) => {
  test.each([
    ['of a path', 'tar czf /backup/b.tar.gz /data'],
    ['of a folder that it goes to', 'tar czf /backup/b.tar.gz -C /data .'],
    ['with dots in front', 'cd / && tar czf /backup/b.tar.gz ./data'],
  ])('%s: %s', async (_name, script) => {
    await forTrees(flavour, async (volume) => {
      await recipe(flavour, [`${volume}:/data`], script);
      const key = newKey();
      await snapvol('import', 'b.tar.gz', '--key', key);
      expect(await treeIn(await restored(key))).toEqual(await treeIn(volume));
    });
  });

  test('without folder entries', async () => {
    const volume = await filled(
      'mkdir -p a/b; echo x > a/b/c; echo y > d; chown 0:0 .; chmod 755 .; touch -d @0 .',
    );
    await recipe(flavour, [`${volume}:/data`], 'tar cf /backup/x.tar /data/*');
    const key = newKey();
    await snapvol('import', 'x.tar', '--key', key);
    expect(await treeIn(await restored(key))).toEqual(await treeIn(volume));
  });
});

describe('archives of GNU tar with all that it can are imported', () => {
  test.each([
    '--format=gnu',
    '--format=gnu --sparse',
    '--format=posix',
    '--format=posix --sparse',
    '-P',
  ])('%s', async (options) => {
    const volume = await filled(oneOfEverything);
    await recipe('GNU tar', [`${volume}:/data`], `tar -c ${options} -f /backup/x.tar /data`);
    const key = newKey();
    await snapvol('import', 'x.tar', '--key', key);
    expect(await treeIn(await restored(key))).toEqual(await treeIn(volume));
  });

  test('from the volumes of a container, several in one archive', async () => {
    const [data, config] = [await filled(oneOfEverything), await filled('echo x > y')];
    const owner = `${prefix}-owner`;
    containers.push(owner);
    const mounts = ['--volume', `${data}:/dbdata`, '--volume', `${config}:/config`];
    await docker('create', '--name', owner, ...mounts, '--entrypoint', 'true', images['GNU tar']);
    await docker(
      ...['run', '--rm', '--volumes-from', owner, '--volume', `${dir}:/backup`],
      ...[
        '--entrypoint',
        'tar',
        images['GNU tar'],
        'cvf',
        '/backup/backup.tar',
        '/dbdata',
        '/config',
      ],
    );
    for (const [name, path, volume] of [
      ['data-v', '/dbdata', data],
      ['config-v', 'config', config],
    ] as const) {
      const key = newKey();
      const { leftOut } = JSON.parse(
        await snapvol(
          'import',
          'backup.tar',
          '--key',
          key,
          '--volume',
          `${name}=${path}`,
          '--json',
        ),
      ) as { leftOut: number };
      expect(leftOut).toBeGreaterThan(0);
      expect(await treeIn(await restored(key))).toEqual(await treeIn(volume));
    }
    // Each goes back to the name that it was given.
    const names = [`${prefix}-data`, `${prefix}-config`] as const;
    const choices = [`${names[0]}=/dbdata`, `${names[1]}=/config`].flatMap((each) => [
      '--volume',
      each,
    ]);
    const key = newKey();
    expect(
      JSON.parse(await snapvol('import', 'backup.tar', '--key', key, ...choices, '--json')),
    ).toMatchObject({
      leftOut: 0,
      volumes: [
        { name: names[0], mountPath: '/dbdata' },
        { name: names[1], mountPath: '/config' },
      ],
    });
    volumes.push(...names);
    await snapvol('restore', key, '--image', images['GNU tar']);
    expect(await treeIn(names[0])).toEqual(await treeIn(data));
    expect(await treeIn(names[1])).toEqual(await treeIn(config));
  });
});

/** A container, never started, that has a volume at /data. */
async function mounted(volume: string): Promise<string> {
  const name = `${prefix}-${++count}`;
  containers.push(name);
  const mount = ['--volume', `${volume}:/data`];
  await docker('create', '--name', name, ...mount, '--entrypoint', 'true', images['GNU tar']);
  return name;
}

test('what "docker cp" gives is imported, and what it takes is exported', async () => {
  const volume = await filled(oneOfEverything);
  const source = await mounted(volume);
  for (const path of ['/data', '/data/.']) {
    const file = join(dir, `cp-${count}.tar`);
    const child = spawn('docker', ['cp', `${source}:${path}`, '-']);
    await pipeline(child.stdout, createWriteStream(file));
    const key = newKey();
    await snapvol('import', file, '--key', key);
    expect(await treeIn(await restored(key))).toEqual(await treeIn(volume));

    await snapvol('export', key, '--prefix', 'data', '-o', `${key}.tar`);
    const empty = await bench.volume();
    const put = spawn('docker', ['cp', '-', `${await mounted(empty)}:/`]);
    await pipeline(createReadStream(join(dir, `${key}.tar`)), put.stdin);
    if (put.exitCode === null) await once(put, 'close');
    expect(put.exitCode).toBe(0);
    expect(await treeIn(empty)).toEqual(await treeIn(volume));
  }
});

describe.each(flavours)('exported archives are restored by %s', (flavour) => {
  /** A snapshot of a volume, with holes and all: by GNU tar, as snapvol's own copies are. */
  async function snapshotOf(volume: string): Promise<string> {
    const script = 'tar -c --format=posix --sparse --numeric-owner -f /backup/own.tar /data';
    await recipe('GNU tar', [`${volume}:/data`], script);
    const key = newKey();
    await snapvol('import', 'own.tar', '--key', key, '--volume', 'shop_data');
    return key;
  }

  const known = (tree: Tree): Tree => (flavour === 'GNU tar' ? tree : asBusybox(tree));

  test('below their path: tar xzf /backup/shop_data.tar.gz -C /', async () => {
    await forTrees('GNU tar', async (volume) => {
      const key = await snapshotOf(volume);
      await snapvol('export', key, '--force');
      const empty = await bench.volume();
      await recipe(flavour, [`${empty}:/data`], 'tar xzf /backup/shop_data.tar.gz -C /');
      expect(known(await treeIn(empty))).toEqual(known(await treeIn(volume)));
    });
  });

  test('in a folder, with one of everything: tar xf /backup/x.tar -C /data', async () => {
    const volume = await filled(oneOfEverything);
    await snapvol('export', await snapshotOf(volume), '--prefix', '.', '-o', 'x.tar');
    const empty = await bench.volume();
    await recipe(flavour, [`${empty}:/data`], 'tar xf /backup/x.tar -C /data');
    expect(known(await treeIn(empty))).toEqual(known(await treeIn(volume)));
  });

  test('without their folder: cd /data && tar xvf /backup/backup.tar --strip 1', async () => {
    const strip = flavour === 'GNU tar' ? '--strip' : '--strip-components';
    await forTrees('GNU tar', async (volume) => {
      await snapvol('export', await snapshotOf(volume), '-o', 'backup.tar', '--force');
      const empty = await bench.volume();
      await recipe(
        flavour,
        [`${empty}:/data`],
        `cd /data && tar xvf /backup/backup.tar ${strip} 1`,
      );
      // The folder itself is stripped, too.
      const below = (tree: Tree): Tree =>
        known(Object.fromEntries(Object.entries(tree).filter(([name]) => name !== '.')));
      expect(below(await treeIn(empty))).toEqual(below(await treeIn(volume)));
    });
  });
});

describe('an export', () => {
  async function small(): Promise<string> {
    const volume = await filled('echo x > y');
    await recipe('GNU tar', [`${volume}:/data`], 'tar czf /backup/b.tar.gz /data');
    const key = newKey();
    await snapvol('import', 'b.tar.gz', '--key', key, '--name', 'shop');
    return key;
  }

  test('to stdout is the archive and nothing else', async () => {
    const key = await small();
    const script = `"$@" | tar tz`;
    expect(await snapvol('export', key, '--json')).toContain('"file": "shop.tar.gz"');
    const child = spawn('bash', [
      '-o',
      'pipefail',
      '-c',
      script,
      'sh',
      process.execPath,
      '--no-warnings',
      join(import.meta.dirname, '../../dist/cli.js'),
      'export',
      key,
      '-o',
      '-',
      '--store',
      store,
    ]);
    let listed = '';
    child.stdout.on('data', (text: Buffer) => (listed += text.toString()));
    const [exitCode] = (await once(child, 'close')) as [number];
    expect({ exitCode, listed }).toEqual({ exitCode: 0, listed: 'data/\ndata/y\n' });
  });

  test('of a damaged snapshot leaves nothing', async () => {
    const key = await small();
    const archive = join(store.slice('file:'.length), key, 'shop.tar.zst');
    const bytes = await readFile(archive);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 9) ^ 1, bytes.length - 9);
    await chmod(archive, 0o644); // the store makes its files read-only
    await writeFile(archive, bytes);
    const before = await readdir(dir);
    const { exitCode } = await runCli(['export', key, '-o', 'x.tar', '--store', store], {
      cwd: dir,
    });
    expect(exitCode).toBe(15);
    expect(await readdir(dir)).toEqual(before);
  });

  test('can be imported again', async () => {
    const volume = await filled(oneOfEverything);
    const key = newKey();
    await recipe('GNU tar', [`${volume}:/data`], 'tar c --format=posix -f /backup/own.tar /data');
    await snapvol('import', 'own.tar', '--key', key);
    await snapvol('export', key, '-o', 'again.tar.zst');
    await snapvol('import', 'again.tar.zst', '--key', `${key}-again`);
    expect(await treeIn(await restored(`${key}-again`))).toEqual(await treeIn(volume));
  });
});
