import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { AppError } from '../../src/errors.ts';
import {
  isListable,
  isReplaceable,
  type ListableStore,
  type ReplaceableStore,
  type SnapshotStore,
} from '../../src/stores/store.ts';
import { contentsOf, createScratch, fill, type ScratchFolder } from './store-bundles.ts';

/** One storage, empty at first, and a store that works on it. */
export interface OpenedStore {
  readonly store: SnapshotStore;
  /** One more store on the same storage, as another process would open it. */
  reopen?(): Promise<SnapshotStore>;
  /** Takes a snapshot away behind the store's back, where the store itself cannot remove. */
  evict?(key: string): Promise<void>;
  close(): Promise<void>;
}

/** What a kind of store cannot promise. The caller says why, in a comment. */
export interface StoreContractOptions {
  /** `false`: not a ListableStore. GitHub's services cannot be looked through. */
  readonly listable?: boolean;
  /** `false`: not a ReplaceableStore. */
  readonly replaceable?: boolean;
  /** `false`: the service may take two saves of one key at once, or none. */
  readonly concurrentWriters?: boolean;
  /** `false`: look-ups know exact keys only. */
  readonly prefixes?: boolean;
  /** `false`: neither `remove` nor `evict`, so that nothing can go away during a test. */
  readonly removable?: boolean;
  /** Keys out of `oddKeys` that the service itself refuses. */
  readonly withoutKeys?: readonly string[];
  /** What a small bundle takes in the store, where that is not the sum of its files. */
  readonly storedBytes?: number;
  /** Resolves when a save from now on counts as newer than one before. By default, in the next millisecond. */
  readonly nextMoment?: () => Promise<void>;
}

/** Keys that are hard on file names, URLs and look-ups. All are different, and all live side by side. */
export const oddKeys: readonly string[] = [
  'k'.repeat(512),
  `${'k'.repeat(511)}l`,
  'K'.repeat(512),
  'é'.repeat(512),
  'postgres-17-日本語-🐘',
  'caf\u00e9',
  'cafe\u0301',
  '.',
  '..',
  '.hidden',
  'trailing.',
  'feature/login',
  '../up',
  '/absolute',
  'back\\slash',
  'two words',
  ' spaces around ',
  '100%',
  'a%2Fb',
  'a/b',
  'Linux-X64',
  'linux-x64',
  'colon:key',
  `it's "quoted"`,
  '$HOME;`ls`&|<>*?#[]{}~!',
  '-dash',
  'manifest.json',
];

const live = new AbortController().signal;

/** What every store must do: the promises of `SnapshotStore` and `ListableStore`, each as a test. */
export function testStoreContract(
  name: string,
  open: () => Promise<OpenedStore>,
  options: StoreContractOptions = {},
): void {
  const { listable = true, replaceable = true, nextMoment = nextMillisecond } = options;

  describe(`${name} keeps the promises of a ${listable ? 'listable ' : ''}store`, () => {
    let scratch: ScratchFolder;
    let opened: OpenedStore;
    let store: SnapshotStore;

    beforeEach(async () => {
      scratch = await createScratch();
      opened = await open();
      store = opened.store;
    });

    afterEach(async () => {
      await opened.close();
      await scratch.remove();
    });

    const another = async (): Promise<SnapshotStore> => (await opened.reopen?.()) ?? store;

    /** Saves a small bundle, newer than all before. Returns what is in it. */
    async function save(key: string, seed = key): Promise<Readonly<Record<string, string>>> {
      await nextMoment();
      const bundle = await scratch.bundle(seed);
      expect(await store.save(key, bundle, live)).toBe('saved');
      return contentsOf(bundle);
    }

    async function loaded(from: SnapshotStore, key: string): Promise<unknown> {
      const found = await from.find({ primary: key, prefixes: [] }, live);
      if (found === undefined) return undefined;
      const dir = await scratch.folder('loaded');
      return (await from.load(found, dir, live)) ? contentsOf(dir) : undefined;
    }

    test('gives a bundle back byte for byte, empty and large files too', async () => {
      const bundle = await scratch.folder('bundle');
      const sizes = { 'manifest.json': 900, SHA256SUMS: 300, 'data.tar.zst': 5 * 1024 * 1024 + 1 };
      await fill(bundle, 'round trip', { ...sizes, 'wal.tar.zst': 1, 'empty.tar.zst': 0 });
      expect(await store.save('round-trip', bundle, live)).toBe('saved');
      expect(await loaded(await another(), 'round-trip')).toEqual(await contentsOf(bundle));
    });

    test('leaves the saved bundle as it was', async () => {
      const bundle = await scratch.bundle('untouched');
      const before = await stateOf(bundle);
      await store.save('untouched', bundle, live);
      expect(await stateOf(bundle)).toEqual(before);
    });

    test('knows nothing of a key that was never saved', async () => {
      expect(await store.find({ primary: 'never', prefixes: [] }, live)).toBeUndefined();
      await save('other');
      expect(await store.find({ primary: 'never', prefixes: [] }, live)).toBeUndefined();
    });

    test('finds the primary key as an exact hit', async () => {
      await save('app-1');
      expect(await store.find({ primary: 'app-1', prefixes: [] }, live)).toMatchObject({
        key: 'app-1',
        exact: true,
      });
    });

    test('takes no longer key for the primary one, and no key in other case', async () => {
      await save('app-12');
      for (const primary of ['app-1', 'app', 'App-12', 'app-123']) {
        expect(await store.find({ primary, prefixes: [] }, live)).toBeUndefined();
      }
    });

    test('does not save over a key that is there', async () => {
      const first = await save('app-1', 'first');
      const second = await scratch.bundle('second');
      expect(await store.save('app-1', second, live)).toBe('already-there');
      expect(await (await another()).save('app-1', second, live)).toBe('already-there');
      expect(await loaded(store, 'app-1')).toEqual(first);
    });

    test('keeps snapshots with odd keys apart', async () => {
      const keys = oddKeys.filter((key) => !options.withoutKeys?.includes(key));
      const saved: Record<string, unknown> = {};
      for (const key of keys) saved[key] = await save(key);
      const back: Record<string, unknown> = {};
      for (const key of keys) back[key] = await loaded(store, key);
      expect(back).toEqual(saved);
    });

    test('stops at once when cancelled before it began', async () => {
      await save('there');
      const found = await store.find({ primary: 'there', prefixes: [] }, live);
      if (found === undefined) throw new Error('the snapshot must be found');
      const bundle = await scratch.bundle('cancelled');
      const dir = await scratch.folder('loaded');
      for (const signal of [AbortSignal.abort(), AbortSignal.abort('any reason')]) {
        const codes = [
          await codeOf(store.find({ primary: 'there', prefixes: [] }, signal)),
          await codeOf(store.load(found, dir, signal)),
          await codeOf(store.save('cancelled', bundle, signal)),
        ];
        expect(codes).toEqual(['cancelled', 'cancelled', 'cancelled']);
      }
      expect(await store.find({ primary: 'cancelled', prefixes: [] }, live)).toBeUndefined();
      expect(await store.save('cancelled', bundle, live)).toBe('saved');
    });

    test('has the whole snapshot or none when cancelled during a save', async () => {
      const bundle = await scratch.folder('bundle');
      await fill(bundle, 'half', { 'manifest.json': 900, 'data.tar.zst': 6 * 1024 * 1024 });
      const controller = new AbortController();
      const saving = codeOf(store.save('half', bundle, controller.signal));
      await nextTurn();
      controller.abort();
      expect(['cancelled', undefined]).toContain(await saving);
      expect([undefined, await contentsOf(bundle)]).toContainEqual(await loaded(store, 'half'));
    });

    if (options.prefixes !== false) {
      const find = async (primary: string, ...prefixes: string[]): Promise<unknown> =>
        store.find({ primary, prefixes }, live);

      test('prefers the exact key to newer ones with the prefix', async () => {
        await save('app-1');
        await save('app-1-newer');
        expect(await find('app-1', 'app-')).toMatchObject({ key: 'app-1', exact: true });
      });

      test('takes the newest snapshot of the first prefix that has one', async () => {
        // Neither the order of names nor of files gives the right answer by chance.
        for (const key of ['a-2', 'a-3', 'a-1', 'b-9']) await save(key);
        expect(await find('none', 'x-', 'a-', 'b-')).toMatchObject({ key: 'a-1', exact: false });
        expect(await find('none', 'b-', 'a-')).toMatchObject({ key: 'b-9', exact: false });
        expect(await find('none', 'x-', 'A-', '-')).toBeUndefined();
      });

      test('calls no prefix match exact, not even a whole key', async () => {
        await save('app-12');
        expect(await find('app-1', 'app-1')).toMatchObject({ key: 'app-12', exact: false });
        expect(await find('app-1', 'app-12')).toMatchObject({ key: 'app-12', exact: false });
      });

      test('loads what a prefix found', async () => {
        const saved = await save('app-old');
        const found = await store.find({ primary: 'app-new', prefixes: ['app-'] }, live);
        const dir = await scratch.folder('loaded');
        expect(found && (await store.load(found, dir, live))).toBe(true);
        expect(await contentsOf(dir)).toEqual(saved);
      });
    }

    if (options.concurrentWriters !== false) {
      test('keeps exactly one whole snapshot of two saved at once', async () => {
        const bundles = [await scratch.folder('one'), await scratch.folder('two')] as const;
        for (const bundle of bundles) {
          await fill(bundle, bundle, { 'manifest.json': 900, 'data.tar.zst': 2 * 1024 * 1024 });
        }
        const second = await another();
        const results = await Promise.all([
          store.save('race', bundles[0], live),
          second.save('race', bundles[1], live),
        ]);
        expect([...results].sort()).toEqual(['already-there', 'saved']);
        const winner = bundles[results[0] === 'saved' ? 0 : 1];
        expect(await loaded(store, 'race')).toEqual(await contentsOf(winner));
        expect(await loaded(second, 'race')).toEqual(await contentsOf(winner));
      });
    }

    if (options.removable !== false) {
      test('loads nothing when the snapshot has gone since it was found', async () => {
        await save('gone');
        const found = await store.find({ primary: 'gone', prefixes: [] }, live);
        if (found === undefined) throw new Error('the snapshot must be found');
        if (opened.evict) await opened.evict('gone');
        else await asListable(store).remove('gone', live);
        const dir = await scratch.folder('loaded');
        expect(await store.load(found, dir, live)).toBe(false);
        expect(await readdir(dir)).toEqual([]);
        expect(await store.find({ primary: 'gone', prefixes: [] }, live)).toBeUndefined();
      });
    }

    test(replaceable ? 'can replace' : 'does not claim that it can replace', () => {
      expect(isReplaceable(store)).toBe(replaceable);
    });

    if (replaceable) {
      /** Two bundles of one key that have no file of the same bytes, and not the same files. */
      async function oldAndNew(): Promise<readonly [string, string]> {
        const [old, next] = [await scratch.folder('old'), await scratch.folder('new')];
        const sizes = { 'manifest.json': 900, SHA256SUMS: 300 };
        await fill(old, 'old', { ...sizes, 'data.tar.zst': 300_000, 'wal.tar.zst': 5000 });
        await fill(next, 'new', { ...sizes, 'data.tar.zst': 200_000 });
        return [old, next];
      }

      test('has exactly the new snapshot after it was replaced, and the others as before', async () => {
        const [old, next] = await oldAndNew();
        const other = await save('app-10');
        await store.save('app-1', old, live);
        const before = await stateOf(next);
        await asReplaceable(store).replace('app-1', next, live);
        expect(await stateOf(next)).toEqual(before);
        expect(await loaded(store, 'app-1')).toEqual(await contentsOf(next));
        expect(await loaded(await another(), 'app-1')).toEqual(await contentsOf(next));
        expect(await loaded(store, 'app-10')).toEqual(other);
        expect(await store.save('app-1', old, live)).toBe('already-there');
        if (isListable(store)) {
          const keys = (await store.list(live)).map(({ key }) => key);
          expect(keys.toSorted()).toEqual(['app-1', 'app-10']);
        }
      });

      test('replaces what is not there, too, and the same again', async () => {
        const [old, next] = await oldAndNew();
        for (const bundle of [old, next, next, old]) {
          await asReplaceable(store).replace('app-1', bundle, live);
          expect(await loaded(store, 'app-1')).toEqual(await contentsOf(bundle));
        }
      });

      test('replaces snapshots with odd keys and no others', async () => {
        const keys = oddKeys.filter((key) => !options.withoutKeys?.includes(key));
        const kept: Record<string, unknown> = {};
        for (const [at, key] of keys.entries()) {
          const contents = await save(key);
          if (at % 2 === 0) kept[key] = contents;
        }
        const next = await scratch.bundle('next');
        for (const [at, key] of keys.entries()) {
          if (at % 2 === 0) continue;
          await asReplaceable(store).replace(key, next, live);
          kept[key] = await contentsOf(next);
        }
        const back: Record<string, unknown> = {};
        for (const key of keys) back[key] = await loaded(store, key);
        expect(back).toEqual(kept);
      });

      if (options.prefixes !== false) {
        test('counts a replaced snapshot as new', async () => {
          for (const key of ['app-1', 'app-2']) await save(key);
          await nextMoment();
          await asReplaceable(store).replace('app-1', await scratch.bundle('new'), live);
          expect(await store.find({ primary: 'none', prefixes: ['app-'] }, live)).toMatchObject({
            key: 'app-1',
          });
        });
      }

      test('gives to who reads meanwhile the old snapshot, the new one or none', async () => {
        const [old, next] = await oldAndNew();
        const either = [undefined, await contentsOf(old), await contentsOf(next)];
        await store.save('app-1', old, live);
        const reader = await another();
        const ended = new AbortController();
        const replaceAll = async (): Promise<void> => {
          for (const bundle of [next, old, next]) {
            await asReplaceable(store).replace('app-1', bundle, live);
          }
        };
        const replaced = replaceAll().finally(() => {
          ended.abort();
        });
        while (!ended.signal.aborted) {
          expect(either).toContainEqual(await loaded(reader, 'app-1'));
        }
        await replaced;
        expect(await loaded(reader, 'app-1')).toEqual(await contentsOf(next));
      });

      test('replaces nothing when cancelled before it began, and all or nothing when during it', async () => {
        const [old, next] = await oldAndNew();
        await store.save('app-1', old, live);
        const early = asReplaceable(store).replace('app-1', next, AbortSignal.abort());
        expect(await codeOf(early)).toBe('cancelled');
        expect(await loaded(store, 'app-1')).toEqual(await contentsOf(old));
        const controller = new AbortController();
        const replacing = codeOf(asReplaceable(store).replace('app-1', next, controller.signal));
        await nextTurn();
        controller.abort();
        expect(['cancelled', undefined]).toContain(await replacing);
        expect([undefined, await contentsOf(old), await contentsOf(next)]).toContainEqual(
          await loaded(store, 'app-1'),
        );
      });

      test('keeps the old snapshot when there is no new one to put in its place', async () => {
        const [old] = await oldAndNew();
        await store.save('app-1', old, live);
        const nowhere = join(scratch.path, 'nowhere');
        await expect(asReplaceable(store).replace('app-1', nowhere, live)).rejects.toThrow();
        expect(await loaded(store, 'app-1')).toEqual(await contentsOf(old));
      });

      if (options.concurrentWriters !== false) {
        test('has one of two whole snapshots that replace a key at once', async () => {
          const bundles = await oldAndNew();
          await save('app-1');
          const [first, second] = [asReplaceable(store), asReplaceable(await another())];
          for (let round = 0; round < 5; round += 1) {
            await Promise.all([
              first.replace('app-1', bundles[0], live),
              second.replace('app-1', bundles[1], live),
            ]);
            const contents = await Promise.all(bundles.map(contentsOf));
            expect(contents).toContainEqual(await loaded(store, 'app-1'));
          }
        });
      }
    }

    test(listable ? 'can be listed' : 'does not claim that it can be listed', () => {
      expect(isListable(store)).toBe(listable);
    });

    if (listable) {
      test('lists the newest first, with size and time', async () => {
        expect(await asListable(store).list(live)).toEqual([]);
        const startMs = Date.now();
        for (const key of ['b', 'c/1', 'A']) await save(key);
        const entries = await asListable(store).list(live);
        expect(entries.map(({ key, sizeBytes }) => [key, sizeBytes])).toEqual(
          ['A', 'c/1', 'b'].map((key) => [key, options.storedBytes ?? 300 + 4096 + 160]),
        );
        // Generous: the clock of the storage may be another than ours.
        for (const { createdAtMs } of entries) {
          expect(Math.abs(createdAtMs - startMs)).toBeLessThan(60_000);
        }
      });

      test('lists every odd key as it was saved', async () => {
        const keys = oddKeys.filter((key) => !options.withoutKeys?.includes(key));
        for (const key of keys) await save(key);
        const entries = await asListable(store).list(live);
        expect(entries.map(({ key }) => key)).toEqual([...keys].reverse());
      });

      test('reads single files of a snapshot and nothing outside it', async () => {
        const bundle = await scratch.bundle('app-1');
        await store.save('app-1', bundle, live);
        await save('app-2');
        const read = (key: string, file: string): Promise<Buffer | undefined> =>
          asListable(store).readFile(key, file, live);
        expect(await read('app-1', 'manifest.json')).toEqual(
          await readFile(join(bundle, 'manifest.json')),
        );
        expect(await read('app-1', 'absent.json')).toBeUndefined();
        expect(await read('absent', 'manifest.json')).toBeUndefined();
        const outside = ['', '.', '..', '../app-2/manifest.json', './manifest.json', '/etc/passwd'];
        for (const file of outside) expect(await read('app-1', file)).toBeUndefined();
      });

      test('removes one snapshot, and its key can be saved again', async () => {
        const kept = await save('app-10');
        await save('app-1');
        expect(await asListable(store).remove('app-1', live)).toBe(true);
        expect(await asListable(store).remove('app-1', live)).toBe(false);
        expect(await loaded(store, 'app-1')).toBeUndefined();
        expect(await loaded(store, 'app-10')).toEqual(kept);
        const again = await save('app-1', 'again');
        expect(await loaded(store, 'app-1')).toEqual(again);
      });

      test('stops listing, reading and removing when cancelled', async () => {
        await save('app-1');
        const signal = AbortSignal.abort();
        expect([
          await codeOf(asListable(store).list(signal)),
          await codeOf(asListable(store).readFile('app-1', 'manifest.json', signal)),
          await codeOf(asListable(store).remove('app-1', signal)),
        ]).toEqual(['cancelled', 'cancelled', 'cancelled']);
        expect(await loaded(store, 'app-1')).toBeDefined();
      });
    }
  });
}

function asListable(store: SnapshotStore): ListableStore {
  if (!isListable(store)) throw new Error(`${store.name} is not listable`);
  return store;
}

function asReplaceable(store: SnapshotStore): ReplaceableStore {
  if (!isReplaceable(store)) throw new Error(`${store.name} is not replaceable`);
  return store;
}

/** The code that `work` fails with, `undefined` when it does not fail. Any other error than ours goes through. */
async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
}

/** Content, mode, links and times of every file: what a store that links or moves would change. */
async function stateOf(dir: string): Promise<unknown> {
  const names = await readdir(dir);
  const stats = await Promise.all(names.map((name) => stat(join(dir, name))));
  return [
    await contentsOf(dir),
    stats.map(({ mode, nlink, mtimeMs, ctimeMs }) => ({ mode, nlink, mtimeMs, ctimeMs })),
  ];
}

/** Stores note milliseconds: two saves in the same one would be equally new. */
async function nextMillisecond(): Promise<void> {
  const start = Date.now();
  while (Date.now() === start) await nextTurn();
}
