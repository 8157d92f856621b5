import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { createFileStore, type FolderStore } from '../../src/stores/file.ts';
import { contentsOf, createScratch, fill, type ScratchFolder } from '../support/store-bundles.ts';
import { testStoreContract } from '../support/store-contract.ts';

testStoreContract('the store in a folder', async () => {
  const home = await mkdtemp(join(tmpdir(), 'snapvol-store-'));
  const dir = join(home, 'made', 'by the first save');
  return {
    store: createFileStore(dir),
    reopen: () => Promise.resolve(createFileStore(dir)),
    close: () => rm(home, { recursive: true, force: true }),
  };
});

const { signal } = new AbortController();
const never = { primary: 'never', prefixes: ['never', ''] };
const longKey = 'É'.repeat(300);

let scratch: ScratchFolder;
let dir: string;
let store: FolderStore;

beforeEach(async () => {
  scratch = await createScratch();
  dir = join(scratch.path, 'store');
  store = createFileStore(dir);
});

afterEach(() => scratch.remove());

async function save(key: string): Promise<Readonly<Record<string, string>>> {
  const bundle = await scratch.bundle(key);
  expect(await store.save(key, bundle, signal)).toBe('saved');
  return contentsOf(bundle);
}

async function load(key: string): Promise<Readonly<Record<string, string>>> {
  const into = await scratch.folder('loaded');
  expect(await store.load({ key, exact: true }, into, signal)).toBe(true);
  return contentsOf(into);
}

describe('the folder of a store', () => {
  test('has the bundle as it is, read-only, under a name that tells the key', async () => {
    const contents = await save('feature/Login');
    const folder = join(dir, 'feature%2f%4cogin');
    expect(await contentsOf(folder)).toEqual(contents);
    for (const name of await readdir(folder)) {
      const { mode, nlink } = await stat(join(folder, name));
      expect({ mode: mode & 0o7777, nlink }).toEqual({ mode: 0o444, nlink: 1 });
    }
    expect(await readdir(dir)).toEqual(['feature%2f%4cogin']);
  });

  test('has a long key beside its bundle, not in it', async () => {
    const contents = await save(longKey);
    const [name = ''] = await readdir(dir);
    expect(await readFile(join(dir, name, '.key'), 'utf8')).toBe(longKey);
    expect(await load(longKey)).toEqual(contents);
    expect(await store.readFile(longKey, '.key', signal)).toBeUndefined();
    expect(await store.list(signal)).toMatchObject([{ key: longKey, sizeBytes: 300 + 4096 + 160 }]);
  });

  test('notes when a snapshot was saved', async () => {
    let now = Date.UTC(2001, 8, 9);
    store = createFileStore(dir, { now: () => now });
    await save('first');
    now -= 5000;
    await save('second, by a clock that was set back');
    expect((await store.list(signal)).map(({ createdAtMs }) => createdAtMs)).toEqual([
      Date.UTC(2001, 8, 9),
      Date.UTC(2001, 8, 9) - 5000,
    ]);
    expect((await stat(join(dir, 'first'))).mtimeMs).toBe(Date.UTC(2001, 8, 9));
  });

  test('is not made by looking into it', async () => {
    expect(await store.find(never, signal)).toBeUndefined();
    expect(await store.list(signal)).toEqual([]);
    expect(await store.readFile('never', 'manifest.json', signal)).toBeUndefined();
    expect(await store.remove('never', signal)).toBe(false);
    expect(existsSync(dir)).toBe(false);
  });

  test('may be copied, or filled by hand', async () => {
    const contents = await save('by-program');
    await mkdir(join(dir, 'by-hand'));
    await fill(join(dir, 'by-hand'), 'by-program', { 'manifest.json': 300, SHA256SUMS: 160 });
    const { 'manifest.json': manifest } = await load('by-hand');
    expect(manifest).toBe(contents['manifest.json']);
  });
});

describe('loading from a folder', () => {
  test('links files where it can, so that it takes no time and no space', async () => {
    await save('app-1');
    const into = await scratch.folder('loaded');
    await store.load({ key: 'app-1', exact: true }, into, signal);
    const [stored, loaded] = await Promise.all(
      [join(dir, 'app-1'), into].map((folder) => stat(join(folder, 'data.tar.zst'))),
    );
    expect(loaded?.ino).toBe(stored?.ino);
    await rm(into, { recursive: true });
    expect(await load('app-1')).toEqual(await contentsOf(join(dir, 'app-1')));
  });

  test('copies files to another file system', async () => {
    const contents = await save('app-1');
    const elsewhere = await mkdtemp('/dev/shm/snapvol-test-');
    try {
      expect((await stat(elsewhere)).dev).not.toBe((await stat(dir)).dev);
      expect(await store.load({ key: 'app-1', exact: true }, elsewhere, signal)).toBe(true);
      expect(await contentsOf(elsewhere)).toEqual(contents);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  test('touches no folder that has something in it', async () => {
    await save('app-1');
    const into = await scratch.bundle('of somebody else');
    const before = await contentsOf(into);
    await expect(store.load({ key: 'app-1', exact: true }, into, signal)).rejects.toMatchObject({
      code: 'internal',
    });
    expect(await contentsOf(into)).toEqual(before);
  });
});

describe('saving to a folder', () => {
  test('leaves nothing behind when it is cancelled half-way', async () => {
    const bundle = await scratch.folder('bundle');
    await fill(bundle, 'large', { 'data.tar.zst': 16 * 1024 * 1024, 'manifest.json': 300 });
    const controller = new AbortController();
    const ended = new AbortController();
    const saving = store.save('large', bundle, controller.signal).finally(() => {
      ended.abort();
    });
    const refused = expect(saving).rejects.toMatchObject({ code: 'cancelled' });
    while (!ended.signal.aborted && !(existsSync(dir) && (await readdir(dir)).length > 0)) {
      await nextTurn();
    }
    controller.abort();
    await refused;
    expect(await readdir(dir)).toEqual([]);
  });

  test.each([
    ['a folder in it', (bundle: string) => mkdir(join(bundle, 'folder'))],
    ['a link in it', (bundle: string) => symlink('/etc/passwd', join(bundle, 'link'))],
    ['a key file in it', (bundle: string) => writeFile(join(bundle, '.key'), 'other')],
    ['no manifest', (bundle: string) => rm(join(bundle, 'manifest.json'))],
  ])('refuses a bundle with %s', async (_, change) => {
    const bundle = await scratch.bundle('odd');
    await change(bundle);
    await expect(store.save('odd', bundle, signal)).rejects.toMatchObject({ code: 'internal' });
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('what others keep in the folder', () => {
  const strangers = ['README.md', 'notes', 'lost+found', '.hidden', '.tmp-mine', '.tmp-a-1-b'];

  /** Every file below `dir`, with what is in it. */
  async function everything(): Promise<unknown> {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort();
    return Promise.all(paths.map(async (path) => [path, await readFile(path, 'utf8')]));
  }

  beforeEach(async () => {
    await mkdir(dir);
    for (const name of strangers.filter((name) => !name.includes('README'))) {
      await mkdir(join(dir, name));
      await writeFile(join(dir, name, 'of-others'), name);
    }
    await writeFile(join(dir, 'README.md'), 'Do not delete');
    await writeFile(join(dir, 'archive.tar'), 'not a folder, though its name could be a key');
  });

  test('is neither listed, found, read nor removed', async () => {
    const before = await everything();
    for (const key of ['notes', 'archive.tar']) {
      expect(await store.find({ primary: key, prefixes: [''] }, signal)).toBeUndefined();
      expect(await store.readFile(key, 'of-others', signal)).toEqual(
        key === 'notes' ? Buffer.from('notes') : undefined,
      );
      expect(await store.remove(key, signal)).toBe(false);
    }
    expect(await store.list(signal)).toEqual([]);
    await save('app-1');
    expect(await store.list(signal)).toMatchObject([{ key: 'app-1' }]);
    expect(await store.remove('app-1', signal)).toBe(true);
    expect(await everything()).toEqual(before);
  });

  test.each(['notes', 'archive.tar'])('is not replaced by a snapshot: %s', async (key) => {
    const before = await everything();
    const bundle = await scratch.bundle(key);
    const refused = { code: 'store-unavailable', hint: expect.stringContaining('in the way') };
    await expect(store.save(key, bundle, signal)).rejects.toMatchObject(refused);
    await expect(store.replace(key, bundle, signal)).rejects.toMatchObject(refused);
    expect(await everything()).toEqual(before);
    expect((await readdir(dir)).sort()).toEqual([...strangers, 'archive.tar'].sort());
  });

  test('is not swept by a clock that was set, nor what is still written to', async () => {
    const [fresh, filling] = [5, 6].map(
      (pid) => `.tmp-other.host-${pid}-00000000-1-0123456789abcdef`,
    );
    if (fresh === undefined || filling === undefined) throw new Error('there are two');
    for (const name of [fresh, filling]) {
      await mkdir(join(dir, name));
      await writeFile(join(dir, name, 'data.tar.zst'), 'half');
    }
    await utimes(join(dir, filling), 0, 0);
    const days = 2 * 24 * 60 * 60 * 1000;
    for (const now of [() => Date.now() + days, () => Date.now() - days]) {
      await createFileStore(dir, { now }).save('app-1', await scratch.bundle('x'), signal);
    }
    expect(await readdir(dir)).toEqual(expect.arrayContaining([fresh, filling, 'app-1']));
  });

  test('is swept only where it is a leftover of a day ago', async () => {
    const hourMs = 60 * 60 * 1000;
    const ageMs = {
      '.tmp-other.host-5-00000000-1-0123456789abcdef': 25 * hourMs,
      '.tmp-other.host-6-00000000-1-0123456789abcdef': 23 * hourMs,
      [`.tmp-${hostname()}-00000000-1-0123456789abcdef`]: 23 * hourMs,
    };
    for (const [name, age] of Object.entries(ageMs)) {
      await mkdir(join(dir, name));
      await writeFile(join(dir, name, 'data.tar.zst'), 'half');
      const then = new Date(Date.now() - age);
      await utimes(join(dir, name, 'data.tar.zst'), then, then);
      await utimes(join(dir, name), then, then);
    }
    await save('app-1');
    const left = (await readdir(dir)).filter((name) => name.includes('abcdef')).sort();
    expect(left).toEqual(Object.keys(ageMs).slice(1).sort());
    expect(await store.list(signal)).toMatchObject([{ key: 'app-1' }]);
  });
});

describe('a folder that is none', () => {
  test.each(['file', 'file/below'])('makes the store unavailable: %s', async (path) => {
    await writeFile(join(scratch.path, 'file'), 'text');
    const bundle = await scratch.bundle('app-1');
    const broken = createFileStore(join(scratch.path, path));
    const refused = { code: 'store-unavailable', hint: expect.stringContaining('in the way') };
    await expect(broken.find({ primary: 'a', prefixes: [] }, signal)).rejects.toMatchObject(
      refused,
    );
    await expect(broken.list(signal)).rejects.toMatchObject(refused);
    await expect(broken.save('app-1', bundle, signal)).rejects.toMatchObject(refused);
  });

  test('makes loading fail with the folder named', async () => {
    await save('app-1');
    const into = join(scratch.path, 'absent');
    await chmod(dir, 0o755);
    await expect(store.load({ key: 'app-1', exact: true }, into, signal)).rejects.toMatchObject({
      code: 'store-unavailable',
      message: expect.stringContaining(into),
    });
  });
});
