import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { composeStoreTools } from '../../src/compose.ts';
import { startPipeHelper } from '../../src/runtime/pipe-helper.ts';
import { writeBundle } from '../../src/snapshot/bundle.ts';
import { restore } from '../../src/usecases/restore.ts';
import { CopyBench, wayNames, ways, type WayName } from '../support/copy-ways.ts';
import { confinement, spyImage } from '../support/confinement.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { makeVolumesManifest } from '../support/manifests.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { hostTree } from '../support/host-tree.ts';
import {
  forgedArchive,
  hostileArchives,
  hostileMaxBytes,
  hostileTar,
} from '../support/hostile-archives.ts';
import { tarEnd, tarEntry, tarHeader } from '../support/tar-bytes.ts';
import { readTree } from '../support/volume-tree.ts';

let bench: CopyBench;
/** A folder of the host that the archives aim at, and a volume beside the one that is restored. */
let canary: string;
let bystander: string;
let before: unknown;

const whatIsThere = async (): Promise<unknown> => ({
  host: hostTree(canary),
  bystander: await readTree(bench.volumes, bystander),
});

beforeAll(async () => {
  bench = await CopyBench.start();
  canary = mkdtempSync(join(tmpdir(), 'canary-'));
  writeFileSync(join(canary, 'kept'), 'as it was');
  mkdirSync(join(canary, 'folder'));
  bystander = await bench.volumes.volume();
  await bench.volumes.run(bystander, 'echo x > kept; mkdir folder');
  before = await whatIsThere();
});

afterEach(async () => {
  expect(await whatIsThere()).toEqual(before);
  expect(await bench.leftovers()).toEqual([]);
});

afterAll(async () => {
  rmSync(canary, { recursive: true, force: true });
  await bench[Symbol.asyncDispose]();
});

// The unit tests have all of them; how a refusal ends a copy does not depend on which one it is.
const some = [
  'an absolute name',
  'a symlink, and a file through it',
  'a hard link to an absolute path',
  'a character device',
  'a file with a hole of 1 TB',
] as const;

describe.each(wayNames)('%s: a restore is refused, with nothing left, for', (way) => {
  test.each(some)('%s', async (name) => {
    const hostile = hostileArchives(canary)[name];
    if (!hostile) throw new Error('there is no such archive');
    const forged = forgedArchive(bench.archive(), hostileTar(hostile));
    const restoring = bench.restore(way, forged, { maxBytes: hostileMaxBytes });
    await expect(restoring).rejects.toMatchObject({
      name: 'AppError',
      code: hostile.code ?? 'snapshot-corrupt',
      message: expect.stringMatching(hostile.refusal),
    });
  });
});

/** All of them, each in a folder of its own, but for those that would only be large. */
const unguarded = (): (readonly [string, readonly Buffer[]])[] =>
  Object.entries(hostileArchives(canary)).flatMap(([name, { code }], i) => {
    const parts = hostileArchives(canary, `./${i}/`)[name]?.parts ?? [];
    return code === undefined ? [[name, parts] as const] : [];
  });

describe('without any guard nothing leads out of the volume', () => {
  test('with GNU tar in the helper container', async () => {
    const volume = await bench.volumes.volume();
    const { runtime, scratchDir } = bench;
    const target = bench.target(volume, ways['pipe with GNU tar'].image);
    const { signal } = new AbortController();
    // One stream: GNU tar goes on after what it cannot do. What would make something else of the rest is left out.
    const parts = unguarded().flatMap(([name, each]) =>
      /content|MiB|for all/.test(name) ? [] : each,
    );
    const last = tarEntry('./last', 'reached');
    const stream = Buffer.concat([...parts, last, tarEnd]);
    await using helper = await startPipeHelper(runtime, scratchDir, target, 'restore', signal);
    const input = createWriteStream('', { fd: helper.data.take() });
    const copied = helper.watch(pipeline(Readable.from([stream]), input));
    await expect(copied).rejects.toMatchObject({ code: 'copy-failed' });
    expect(await readTree(bench.volumes, volume)).toMatchObject({ './last': { kind: 'f' } });
  });

  test("with the engine's archive API", async () => {
    const volume = await bench.volumes.volume();
    const id = await bench.runtime.createContainer({
      name: `${volume}-unguarded`,
      image: ways['archive API'].image,
      labels: bench.volumes.labels,
      entrypoint: ['never-started'],
      mounts: [{ type: 'volume', source: volume, target: '/volume', noCopy: true }],
    });
    try {
      for (const [, parts] of unguarded()) {
        const put = bench.runtime.putArchive(id, '/volume', Readable.from([hostileTar({ parts })]));
        await put.catch(() => undefined); // some it refuses by itself
      }
      expect(await readTree(bench.volumes, volume)).toMatchObject({ './4/out': { kind: 'l' } });
    } finally {
      await bench.runtime.removeContainer(id);
    }
  });
});

test.each(wayNames)('%s: set-user-ID files and far symlinks stay what they are', async (way) => {
  const parts = [
    tarHeader({ name: './setuid', mode: '0006755' }),
    ...(ways[way].method === 'pipe'
      ? [tarHeader({ name: './far', type: '2', linkName: `${canary}/kept` })]
      : []),
  ];
  const forged = forgedArchive(bench.archive(), hostileTar({ parts }), {
    entries: parts.length + 1,
  });
  const { volume } = await bench.restore(way, forged);
  expect(await readTree(bench.volumes, volume)).toMatchObject({ './setuid': { mode: '6755' } });
});

describe('a hostile bundle in a store', () => {
  /** Saves it, whatever it is, and restores it with the limit. */
  const restoring = async (
    parts: readonly Buffer[],
    maxBytes: number,
    image: string = testImage('postgres:17'),
  ): Promise<unknown> => {
    const dir = mkdtempSync(join(bench.dir, 'bundle-'));
    const { compression, ...forged } = forgedArchive(join(dir, 'data.tar'), hostileTar({ parts }));
    const [volume] = makeVolumesManifest().volumes;
    if (!volume) throw new Error('the sample has a volume');
    const origin = {
      type: 'volume',
      volume: wanted,
      driver: 'local',
      options: {},
      labels: {},
    } as const;
    const { archiveBytes, sha256, tarBytes, entries, features } = forged;
    const archive = {
      archive: 'data.tar',
      compression,
      archiveBytes,
      sha256,
      tarBytes,
      entries,
      features,
    };
    const volumes = [{ ...volume, ...archive, origin }];
    const { manifest } = await writeBundle(dir, makeVolumesManifest({ volumes }));
    const log = createRecordingLog();
    const around = {
      log,
      tempDir: tmpdir(),
      cwd: tmpdir(),
      env: process.env,
      outputFd: 2 as const,
    };
    const store = mkdtempSync(join(bench.dir, 'store-'));
    await using composed = await composeStoreTools(around, 'auto', { kind: 'file', dir: store });
    const { signal } = new AbortController();
    await composed.tools.store.save(manifest.key, dir, signal);
    const wishes = { rename: {}, volume: undefined, includeBinds: false, overwrite: false };
    const acceptance = { digest: undefined, provenance: [] };
    const request = { ...wishes, image, maxBytes, acceptance, scope: bench.volumes.prefix };
    return await restore(composed.tools, { key: manifest.key, exact: true }, request, signal);
  };

  let wanted: string;

  beforeEach(() => {
    wanted = `${bench.volumes.prefix}-wanted`;
  });

  afterEach(async () => {
    expect(await bench.runtime.findVolume(wanted)).toBeUndefined();
    expect(await docker('ps', '--all', '--quiet', '--filter', `name=${wanted}`)).toBe('');
  });

  test('leaves no volume when its archive is refused', async () => {
    const { parts = [] } = hostileArchives(canary)['a symlink, and a file through it'] ?? {};
    await expect(restoring(parts, hostileMaxBytes)).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('goes through out'),
    });
  });

  test('is refused by its size before anything is made', async () => {
    // Without even looking for the image of a helper container.
    const parts = [tarEntry('./file', 'x'.repeat(9000))];
    await expect(restoring(parts, 9000, 'snapvol-test/nothing:1')).rejects.toMatchObject({
      code: 'snapshot-incompatible',
      message: expect.stringContaining('"max-size"'),
      hint: expect.stringContaining('max-size'),
    });
  });
});

describe('the helper container', () => {
  const pipe: WayName = 'pipe with GNU tar';
  let image: string;

  beforeAll(async () => {
    image = await spyImage(bench);
  });

  const seen = async (copy: Promise<unknown>): Promise<unknown> => {
    const error: unknown = await copy.catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'copy-failed', details: expect.anything() });
    return confinement((error as { details: readonly string[] }).details);
  };

  const always = {
    user: '0:0',
    interfaces: 'lo',
    NoNewPrivs: '1',
    CapAmb: '0000000000000000',
    'write to /': 'no',
    'make a device': 'no',
    'write to /scratch': 'yes',
    processes: '32',
    // The image's own VOLUME is a new one, which goes with the container.
    mounts: '/ /scratch /var/lib/postgresql/data /volume',
  };

  test('restores with no more than it needs', async () => {
    const parts = [tarEntry('./file', 'content')];
    const forged = forgedArchive(bench.archive(), hostileTar({ parts }), { entries: 2 });
    expect(await seen(bench.restore(pipe, forged, { image }))).toEqual({
      ...always,
      // CHOWN, DAC_OVERRIDE, FOWNER, FSETID
      ...{ CapEff: '000000000000001b', CapBnd: '000000000000001b', CapPrm: '000000000000001b' },
      'write to /volume': 'yes',
    });
  });

  test('saves with less, and cannot write to the volume', async () => {
    expect(await seen(bench.save(pipe, bystander, { image }))).toEqual({
      ...always,
      // DAC_OVERRIDE
      ...{ CapEff: '0000000000000002', CapBnd: '0000000000000002', CapPrm: '0000000000000002' },
      'write to /volume': 'no',
    });
  });
});
