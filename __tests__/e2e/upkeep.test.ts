import { chmod, open, readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { createFileStore } from '../../src/stores/file.ts';
import { runCli, type CliOptions, type CliResult } from '../support/cli.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';
import { storeSnapshot } from '../support/store-snapshots.ts';

const dayMs = 24 * 60 * 60 * 1000;
let scratch: ScratchFolder;
let dir: string;
let tempDir: string;

beforeEach(async () => {
  scratch = await createScratch();
  dir = await scratch.folder('store');
  tempDir = await scratch.folder('temp');
});

afterEach(async () => {
  expect(await readdir(tempDir)).toEqual([]);
  await scratch.remove();
});

/** No engine is needed for any of it. */
function snapvol(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const env = { SNAPVOL_STORE: `file:${dir}`, TMPDIR: tempDir, DOCKER_HOST: 'unix:///nonexistent' };
  return runCli(args, { ...options, env });
}

async function output(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await snapvol(args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return stdout;
}

async function json(...args: string[]): Promise<unknown> {
  return JSON.parse((await snapvol([...args, '--json'])).stdout) as unknown;
}

/** `shop-20` is a snapshot of `shop` of 20 days ago. */
async function saved(...keys: string[]): Promise<void> {
  const store = createFileStore(dir);
  for (const key of keys) {
    const [name = '', days] = key.split('-');
    await storeSnapshot(store, scratch, { key, name, archiveBytes: 100_000 });
    const then = new Date(Date.now() - Number(days) * dayMs);
    await utimes(join(dir, key), then, then);
  }
}

async function flipByte(key: string, at: number): Promise<void> {
  const path = join(dir, key, 'data.tar.zst');
  await chmod(path, 0o644); // the store makes its files read-only
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([buffer.readUInt8() ^ 1]), 0, 1, at);
}

async function left(): Promise<string[]> {
  return (await readdir(dir)).sort();
}

describe('list', () => {
  test('shows the newest first, of all names or of one, with a sum', async () => {
    await saved('shop-20', 'blog-5', 'shop-1');
    const lines = (await output('list')).trimEnd().split('\n');
    const createdAt = '20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ';
    const row = (text: string) => expect.stringMatching(new RegExp(`^${text} +${createdAt}$`));
    const holds = '10\\d KB +postgres +postgres:17 +amd64';
    expect(lines).toEqual([
      expect.stringMatching(/^NAME +KEY +AGE +SIZE +ENGINE +IMAGE +ARCHITECTURE +CREATED$/),
      row(`shop +shop-1 +24 h +${holds}`),
      row(`blog +blog-5 +5 d +${holds}`),
      row(`shop +shop-20 +20 d +${holds}`),
      expect.stringMatching(/^3 snapshots, 30\d KB$/),
    ]);
    expect(await output('list', 'shop')).toMatch(/\n2 snapshots, 20\d KB\n$/);
    expect(await json('list', 'blog')).toEqual({
      snapshots: [expect.objectContaining({ name: 'blog', ageSeconds: expect.any(Number) })],
    });
  });
});

describe('a name', () => {
  test('stands for its newest snapshot, but not for what rm should remove', async () => {
    await saved('shop-20', 'shop-1', 'blog-5');
    expect(await output('inspect', 'shop')).toMatch(/^name +shop\nkey +shop-1\n/);
    expect(await output('verify', 'shop')).toMatch(/^shop-1 is whole: 1 archive, 10\d KB read in /);
    const refused = await snapvol(['rm', 'shop']);
    expect(refused.exitCode).toBe(exitCodes['invalid-settings']);
    expect(refused.stderr).toMatch(/"shop" is the name of 2 snapshots.*\n +shop-1\n +shop-20\n/);
    expect(await output('rm', 'blog')).toBe(`removed blog-5 from file:${dir}\n`);
    expect(await left()).toEqual(['shop-1', 'shop-20']);
  });
});

describe('verify', () => {
  test('reads all snapshots, and fails where one has one other bit', async () => {
    await saved('shop-3', 'blog-2', 'shop-1');
    expect(await output('verify')).toMatch(/^whole .*\n3 whole: 30\d KB read in [\d.]+ s\n$/s);
    await flipByte('blog-2', 99_999);
    const { exitCode, stdout } = await snapvol(['verify']);
    expect(exitCode).toBe(exitCodes['snapshot-corrupt']);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^whole +shop-1 +10\d KB$/),
      expect.stringMatching(/^damaged +blog-2 +data\.tar\.zst is damaged: sha256 is /),
      expect.stringMatching(/^whole +shop-3 +10\d KB$/),
      expect.stringMatching(/^2 whole, 1 damaged: /),
      '',
    ]);
    // With the document of what was read, not of an error.
    expect(await json('verify')).toMatchObject({
      store: `file:${dir}`,
      snapshots: [
        { key: 'shop-1', state: 'whole', problem: null },
        { key: 'blog-2', state: 'damaged', problem: { code: 'snapshot-corrupt' }, digest: null },
        { key: 'shop-3', state: 'whole' },
      ],
    });
    expect(await output('verify', '--name', 'shop')).toContain('\n2 whole: ');
    expect(await output('verify', '--name', 'shop', '--sample', '1%')).toMatch(/^1 whole: /m);
    expect((await snapvol(['verify', '--sample', '3'])).exitCode).toBe(15);
  });
});

describe('prune', () => {
  test('shows what it would remove, and removes just that', async () => {
    await saved('shop-40', 'blog-30', 'shop-9', 'shop-8', 'shop-1');
    const args = ['prune', '--keep-last', '1', '--keep-within', '8d'];
    const dry = await output(...args, '--dry-run');
    expect(dry.split('\n')).toEqual([
      expect.stringMatching(/^would remove +shop-8 +10\d KB +8 d +not kept by --keep-last or --k/),
      expect.stringMatching(/^would remove +shop-9 +10\d KB +9 d +not kept by --keep-last or --k/),
      expect.stringMatching(/^would remove +shop-40 +10\d KB +40 d +not kept by --keep-last or --/),
      expect.stringMatching(/^would remove 3 of 5 snapshots, 30\d KB; 2 left, 20\d KB$/),
      '',
    ]);
    expect(await left()).toHaveLength(5);
    expect(await output(...args)).toBe(dry.replaceAll(/^would remove/gm, 'removed'));
    expect(await left()).toEqual(['blog-30', 'shop-1']);
    expect(await output(...args)).toMatch(/^removed 0 of 2 snapshots, 0 B; 2 left, 20\d KB\n$/);
  });

  test('removes the oldest until it fits', async () => {
    await saved('shop-3', 'blog-2', 'shop-1');
    expect(await json('prune', '--max-size', '150KB')).toMatchObject({
      dryRun: false,
      removed: [
        { key: 'blog-2', name: 'blog', reasons: ['max-size'] },
        { key: 'shop-3', name: 'shop', reasons: ['max-size'] },
      ],
      kept: [{ key: 'shop-1', reasons: ['max-size'] }],
      freedBytes: expect.any(Number),
    });
    expect(await left()).toEqual(['shop-1']);
  });

  test('keeps the newest whole one of what is protected, though a damaged one is newer', async () => {
    await saved('shop-9', 'shop-8', 'shop-7', 'blog-6', 'blog-5');
    await flipByte('shop-7', 0);
    const args = ['prune', '--keep-last', '1', '--protect', 'sh*'];
    const { exitCode, stdout, stderr } = await snapvol(args);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr: expect.stringMatching(
        /^warning: shop-7 is damaged: data\.tar\.zst is damaged: .*\n$/,
      ),
    });
    expect(stdout).toMatch(/^kept +shop-8 .*protected: the newest whole one$/m);
    expect(await left()).toEqual(['blog-5', 'shop-7', 'shop-8']);

    // Where none is whole any more, nothing goes, whatever the rules say.
    await flipByte('shop-8', 0);
    const held = await snapvol(['prune', '--max-size', '1B', '--protect', 'shop']);
    expect(held.exitCode).toBe(0);
    expect(held.stderr).toContain('nothing of shop is removed');
    expect(await left()).toEqual(['shop-7', 'shop-8']);
  });

  test('says what it needs, and takes no empty name for all', async () => {
    await saved('shop-9', 'shop-8');
    for (const [args, text] of [
      [[], 'For example: snapvol prune --keep-last 3'],
      [['--keep-last', '0'], '--keep-last: "0" is not a number of 1 or more'],
      [['--max-size', '5'], '--max-size: "5" is not a size like'],
      [['', '--keep-last', '1'], 'a NAME is empty'],
      [['--keep-last', '1', '--protect', ''], '--protect: a name or pattern is empty'],
      [['--keep-last', '1', '--store', 'artifact'], 'can neither list nor remove'],
    ] as const) {
      const { exitCode, stderr } = await snapvol(['prune', ...args]);
      expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(text) });
    }
    expect(await left()).toEqual(['shop-8', 'shop-9']);
  });
});
