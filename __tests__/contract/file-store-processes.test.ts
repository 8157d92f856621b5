import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { createFileStore } from '../../src/stores/file.ts';
import {
  canMount,
  isRoot,
  runStoreProcess,
  startStoreProcess,
  type ChildTask,
} from '../support/file-store-process.ts';
import { contentsOf, createScratch, fill, type ScratchFolder } from '../support/store-bundles.ts';

const { signal } = new AbortController();
const nobody = 65534;

let scratch: ScratchFolder;
let dir: string;
let bundle: string;

beforeEach(async () => {
  scratch = await createScratch();
  // For the children that are another user.
  await chmod(scratch.path, 0o755);
  dir = await scratch.folder('store');
  bundle = await scratch.folder('bundle');
  await fill(bundle, 'bundle', { 'data.tar.zst': 3_000_000, 'manifest.json': 300, SHA256SUMS: 0 });
});

afterEach(() => scratch.remove());

function task(verb: ChildTask['verb'], more: Partial<ChildTask> = {}): ChildTask {
  return { verb, dir, key: 'App-1', bundleDir: bundle, ...more };
}

/** Does `work` for 1 to `count`, some at a time: most of it is waiting for processes to start. */
async function forEachPoint(count: number, work: (point: number) => Promise<void>): Promise<void> {
  let last = 0;
  const worker = async (): Promise<void> => {
    while (last < count) await work(++last);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

/** What is in the store in `dir`: nothing, or the bytes of its one snapshot. */
async function stored(dir: string): Promise<Readonly<Record<string, string>> | undefined> {
  const store = createFileStore(dir);
  const entries = await store.list(signal);
  const found = await store.find({ primary: 'App-1', prefixes: [''] }, signal);
  expect(entries.map(({ key }) => key)).toEqual(found ? ['App-1'] : []);
  if (found === undefined) return undefined;
  const into = await scratch.folder('loaded');
  expect(await store.load(found, into, signal)).toBe(true);
  return contentsOf(into);
}

describe('a process that is killed', () => {
  test('while it saves leaves the whole snapshot or none, at whatever point', async () => {
    const contents = await contentsOf(bundle);
    const whole = await runStoreProcess(task('save'));
    expect(whole).toMatchObject({ outcome: 'saved', names: ['%41pp-1'] });
    const points = whole?.requests ?? 0;
    expect(points).toBeGreaterThanOrEqual(20);

    const seen = new Set<string>();
    await forEachPoint(points, async (interruptAt) => {
      const dir = await scratch.folder('store');
      const killed = task('save', { dir, interruptAt, interruptBy: 'kill' });
      expect(await runStoreProcess(killed)).toBeUndefined();
      const left = await readdir(dir);
      const before = await stored(dir);
      if (before) expect(before).toEqual(contents);
      seen.add(before ? 'whole' : left.length > 0 ? 'interrupted' : 'nothing');

      const again = await createFileStore(dir).save('App-1', bundle, signal);
      expect(again).toBe(before ? 'already-there' : 'saved');
      expect(await readdir(dir)).toEqual(['%41pp-1']);
      expect(await stored(dir)).toEqual(contents);
    });
    // Or the kills would prove nothing.
    expect([...seen].sort()).toEqual(['interrupted', 'nothing', 'whole']);
  });

  test('while it replaces leaves the old snapshot or the new one, at whatever point', async () => {
    const old = await scratch.folder('old');
    await fill(old, 'old', { 'data.tar.zst': 5000, 'wal.tar.zst': 50, 'manifest.json': 300 });
    const [oldContents, newContents] = [await contentsOf(old), await contentsOf(bundle)];
    const withOld = async (): Promise<string> => {
      const dir = await scratch.folder('store');
      await createFileStore(dir).save('App-1', old, signal);
      return dir;
    };
    const whole = await runStoreProcess(task('replace', { dir: await withOld() }));
    expect(whole).toMatchObject({ names: ['%41pp-1'] });
    expect(whole).not.toHaveProperty('error');

    const seen = new Set<string>();
    await forEachPoint(whole?.requests ?? 0, async (interruptAt) => {
      const dir = await withOld();
      const store = createFileStore(dir);
      const killed = task('replace', { dir, interruptAt, interruptBy: 'kill' });
      expect(await runStoreProcess(killed)).toBeUndefined();
      const before = await stored(dir);
      // What is between the two names for a moment is back as soon as anybody writes to the folder.
      expect(await store.save('App-1', old, signal)).toBe('already-there');
      const after = await stored(dir);
      expect([oldContents, newContents]).toContainEqual(after);
      expect(after).toEqual(before ?? oldContents);
      expect(await readdir(dir)).toEqual(['%41pp-1']);
      const name = JSON.stringify(after) === JSON.stringify(newContents) ? 'new' : 'old';
      seen.add(before ? name : `${name}, put back`);
    });
    expect([...seen].sort()).toEqual(['new', 'old', 'old, put back']);
  });

  test('while it replaces brings nothing back that is removed afterwards', async () => {
    const dirs: string[] = [];
    const whole = await runStoreProcess(task('replace'));
    await forEachPoint(whole?.requests ?? 0, async (interruptAt) => {
      const dir = await scratch.folder('store');
      dirs.push(dir);
      await createFileStore(dir).save('App-1', bundle, signal);
      await runStoreProcess(task('replace', { dir, interruptAt, interruptBy: 'kill' }));
      expect(await createFileStore(dir).remove('App-1', signal)).toBe(true);
      await createFileStore(dir).save('other', bundle, signal);
      expect(await readdir(dir)).toEqual(['other']);
    });
    expect(dirs.length).toBeGreaterThan(20);
  });

  test('while it removes leaves the whole snapshot or none, at whatever point', async () => {
    const contents = await contentsOf(bundle);
    const save = async (): Promise<string> => {
      const dir = await scratch.folder('store');
      await createFileStore(dir).save('App-1', bundle, signal);
      return dir;
    };
    const whole = await runStoreProcess(task('remove', { dir: await save() }));
    expect(whole).toMatchObject({ outcome: true, names: [] });

    const seen = new Set<string>();
    await forEachPoint(whole?.requests ?? 0, async (interruptAt) => {
      const dir = await save();
      await runStoreProcess(task('remove', { dir, interruptAt, interruptBy: 'kill' }));
      const left = await readdir(dir);
      const before = await stored(dir);
      if (before) expect(before).toEqual(contents);
      seen.add(before ? 'whole' : left.length > 0 ? 'interrupted' : 'nothing');
      await createFileStore(dir).save('App-1', bundle, signal);
      expect(await readdir(dir)).toEqual(['%41pp-1']);
    });
    expect([...seen].sort()).toEqual(['interrupted', 'whole']);
  });
});

describe('processes at one folder', () => {
  test('of many that save one key at once, one wins and the others know it', async () => {
    const bundles = ['one', 'two', 'three', 'four', 'five', 'six'];
    const folders = await Promise.all(bundles.map((name) => scratch.folder(name)));
    for (const folder of folders) {
      await fill(folder, folder, { 'manifest.json': 300, 'data.tar.zst': 2_000_000 });
    }
    const children = folders.map((bundleDir) =>
      startStoreProcess(task('save', { bundleDir, waitForGo: true })),
    );
    for (const child of children) expect(await child.next()).toBe('ready');
    for (const child of children) child.go();
    const reports = await Promise.all(children.map((child) => child.report()));
    const outcomes = reports.map((report) => report?.outcome);
    const winner = folders[outcomes.indexOf('saved')] ?? '';
    expect([...outcomes].sort()).toEqual([...Array<string>(5).fill('already-there'), 'saved']);
    expect(await stored(dir)).toEqual(await contentsOf(winner));
    expect(await readdir(dir)).toEqual(['%41pp-1']);
  });

  test('of many that replace one key at once, every one succeeds and one is the last', async () => {
    const folders = await Promise.all(['a', 'b', 'c', 'd'].map((name) => scratch.folder(name)));
    for (const folder of folders) {
      await fill(folder, folder, { 'manifest.json': 300, 'data.tar.zst': 2_000_000 });
    }
    await createFileStore(dir).save('App-1', bundle, signal);
    const children = folders.map((bundleDir) =>
      startStoreProcess(task('replace', { bundleDir, waitForGo: true })),
    );
    for (const child of children) expect(await child.next()).toBe('ready');
    for (const child of children) child.go();
    const reports = await Promise.all(children.map((child) => child.report()));
    for (const report of reports) expect(report).not.toHaveProperty('error');
    const contents = await Promise.all(folders.map((folder) => contentsOf(folder)));
    expect(contents).toContainEqual(await stored(dir));
    expect(await readdir(dir)).toEqual(['%41pp-1']);
  });

  test('replace a snapshot although another one saves or replaces it in between, at any point', async () => {
    const next = await scratch.folder('next');
    await fill(next, 'next', { 'data.tar.zst': 5000, 'manifest.json': 300, SHA256SUMS: 0 });
    const contents = await contentsOf(bundle);
    const whole = await runStoreProcess(task('replace'));
    await forEachPoint(whole?.requests ?? 0, async (interruptAt) => {
      const dir = await scratch.folder('store');
      const store = createFileStore(dir);
      await store.save('App-1', next, signal);
      const slow = startStoreProcess(task('replace', { dir, interruptAt, interruptBy: 'pause' }));
      expect(await slow.next()).toBe('interrupted');
      if (interruptAt % 2 === 0) await store.replace('App-1', next, signal);
      else await store.save('App-1', next, signal);
      slow.go();
      expect(await slow.report()).not.toHaveProperty('error');
      // Whoever was last to put theirs in place: the slow one, unless it was there already.
      expect([contents, await contentsOf(next)]).toContainEqual(await stored(dir));
      expect(await readdir(dir)).toEqual(['%41pp-1']);
    });
  });

  test('do not sweep away what another one is still filling', async () => {
    const total = (await runStoreProcess(task('save')))?.requests ?? 0;
    await createFileStore(dir).remove('App-1', signal);
    const slow = startStoreProcess(
      task('save', { interruptAt: Math.floor(total / 2), interruptBy: 'pause' }),
    );
    expect(await slow.next()).toBe('interrupted');
    expect(await createFileStore(dir).save('other', bundle, signal)).toBe('saved');
    expect(await readdir(dir)).toContainEqual(expect.stringMatching(/^\.tmp-/));
    slow.go();
    expect(await slow.report()).toMatchObject({ outcome: 'saved' });
    expect((await readdir(dir)).sort()).toEqual(['%41pp-1', 'other']);
  });

  test('never load half of a snapshot and half of the next one of that key', async () => {
    const next = await scratch.folder('next');
    await fill(next, 'next', { 'data.tar.zst': 5000, 'manifest.json': 300, SHA256SUMS: 0 });
    const [oldContents, newContents] = [await contentsOf(bundle), await contentsOf(next)];
    await createFileStore(dir).save('App-1', bundle, signal);
    const whole = await runStoreProcess(
      task('load', { bundleDir: await scratch.folder('loaded') }),
    );
    expect(whole).toMatchObject({ outcome: true });

    const seen = new Set<string>();
    await forEachPoint(whole?.requests ?? 0, async (interruptAt) => {
      const [dir, into] = [await scratch.folder('store'), await scratch.folder('loaded')];
      const store = createFileStore(dir);
      await store.save('App-1', bundle, signal);
      const reader = startStoreProcess(
        task('load', { dir, bundleDir: into, interruptAt, interruptBy: 'pause' }),
      );
      expect(await reader.next()).toBe('interrupted');
      await store.remove('App-1', signal);
      await store.save('App-1', next, signal);
      reader.go();
      const report = await reader.report();
      const loaded = await contentsOf(into);
      if (report?.outcome === true) expect([oldContents, newContents]).toContainEqual(loaded);
      else expect({ outcome: report?.outcome, loaded }).toEqual({ outcome: false, loaded: {} });
      seen.add(JSON.stringify([report?.outcome, loaded['manifest.json']]));
    });
    expect(seen).toContain(JSON.stringify([true, newContents['manifest.json']]));
    expect(seen).toContain(JSON.stringify([false, undefined]));
  });
});

describe('a folder on a disk of its own', () => {
  /** What this machine does not let us test is said aloud: a test that is left out quietly proves nothing. */
  async function mountable(): Promise<boolean> {
    const can = await canMount();
    if (!can) process.stderr.write('NOT TESTED: full and read-only disks, mounting is refused\n');
    return can;
  }

  test('that is full makes the store unavailable, and nothing is left there', async () => {
    if (!(await mountable())) return;
    expect(await runStoreProcess(task('save', { tmpfs: 'size=1m' }))).toMatchObject({
      error: {
        code: 'store-unavailable',
        message: expect.stringContaining(`could not save App-1 to file:${dir}: ENOSPC`),
        hint: expect.stringContaining('Free some space'),
      },
      names: [],
    });
  });

  test('that is full leaves nothing of a replacement', async () => {
    if (!(await mountable())) return;
    const report = await runStoreProcess(task('replace', { tmpfs: 'size=1m' }));
    expect(report).toMatchObject({
      error: {
        code: 'store-unavailable',
        message: expect.stringContaining(`could not replace App-1 in file:${dir}: ENOSPC`),
      },
      names: [],
    });
  });

  test('that is read-only makes the store unavailable', async () => {
    if (!(await mountable())) return;
    expect(await runStoreProcess(task('save', { tmpfs: 'ro' }))).toMatchObject({
      error: { code: 'store-unavailable', hint: expect.stringContaining('read-only') },
      names: [],
    });
  });

  test('has no room for more snapshots than its inodes allow', async () => {
    if (!(await mountable())) return;
    expect(await runStoreProcess(task('save', { tmpfs: 'nr_inodes=4' }))).toMatchObject({
      error: { code: 'store-unavailable', hint: expect.stringContaining('Free some space') },
      names: [],
    });
  });
});

describe('a folder of somebody else', () => {
  // Nothing is forbidden to root: there, the child becomes nobody.
  const user = isRoot ? { uid: nobody } : {};

  test('that may not be written to makes the store unavailable', async () => {
    await chmod(dir, 0o555);
    expect(await runStoreProcess(task('save', user))).toMatchObject({
      error: {
        code: 'store-unavailable',
        message: expect.stringContaining('EACCES'),
        hint: expect.stringContaining('Let the user'),
      },
      names: [],
    });
  });

  test('that may not be read makes the store unavailable', async () => {
    await createFileStore(dir).save('App-1', bundle, signal);
    await chmod(dir, 0o000);
    const into = await scratch.folder('loaded');
    await chmod(into, 0o777);
    expect(await runStoreProcess(task('load', { ...user, bundleDir: into }))).toMatchObject({
      error: { code: 'store-unavailable', message: expect.stringContaining('EACCES') },
    });
    await chmod(dir, 0o755);
  });

  test('can be loaded from, by copies where the system allows no links', async () => {
    await createFileStore(dir).save('App-1', bundle, signal);
    const into = await scratch.folder('loaded');
    await chmod(into, 0o777);
    expect(await runStoreProcess(task('load', { ...user, bundleDir: into }))).toMatchObject({
      outcome: true,
    });
    expect(await contentsOf(into)).toEqual(await contentsOf(bundle));
    if (isRoot) {
      const { nlink, uid } = await stat(join(into, 'data.tar.zst'));
      expect({ nlink, uid }).toEqual({ nlink: 1, uid: nobody });
    } else {
      process.stderr.write('NOT TESTED: files of another user, only root can make them\n');
    }
  });

  test('can be saved to where it allows that', async () => {
    await chmod(dir, 0o777);
    await mkdir(join(dir, '.tmp-other.host-00000000-1-0123456789abcdef'));
    expect(await runStoreProcess(task('save', user))).toMatchObject({ outcome: 'saved' });
    expect(await stored(dir)).toEqual(await contentsOf(bundle));
  });
});
