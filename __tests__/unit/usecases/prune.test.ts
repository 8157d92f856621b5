import { readdir } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import type { SnapshotTools } from '../../../src/usecases/context.ts';
import {
  pruneSnapshots,
  type PruneReport,
  type PruneRequest,
} from '../../../src/usecases/prune.ts';
import { MemoryStore, plainStore } from '../../support/memory-store.ts';
import { createRecordingLog, type RecordingLog } from '../../support/recording-log.ts';
import { createScratch, type ScratchFolder } from '../../support/store-bundles.ts';
import { storeSnapshot } from '../../support/store-snapshots.ts';

const { signal } = new AbortController();
const dayMs = 24 * 60 * 60 * 1000;
const nowMs = 100 * dayMs;

let scratch: ScratchFolder;
let store: MemoryStore;
let savedMs: number;
let log: RecordingLog;
let tools: SnapshotTools;

beforeEach(async () => {
  scratch = await createScratch();
  store = new MemoryStore(undefined, () => savedMs);
  log = createRecordingLog();
  const clock = { ...systemClock, now: () => nowMs };
  tools = { store, log, clock, scratchDir: await scratch.folder('run') };
});

afterEach(async () => {
  expect(await readdir(tools.scratchDir)).toEqual([]);
  await scratch.remove();
});

/** `shop-3` is a snapshot of `shop`, saved on day 3. The oldest first. */
async function saved(...keys: string[]): Promise<void> {
  for (const key of keys) {
    const [name = '', day] = key.split('-');
    savedMs = Number(day) * dayMs;
    await storeSnapshot(store, scratch, { key, name });
  }
}

type Wanted = Partial<Omit<PruneRequest, 'rules'>> & Partial<PruneRequest['rules']>;

function prune(wanted: Wanted, using: Partial<SnapshotTools> = {}): Promise<PruneReport> {
  const { names = [], protect = [], dryRun = false, ...given } = wanted;
  const rules = { keepLast: undefined, keepWithinMs: undefined, maxBytes: undefined, ...given };
  return pruneSnapshots({ ...tools, ...using }, { names, rules, protect, dryRun }, signal);
}

function keysOf(snapshots: PruneReport['removed'] | PruneReport['kept']): string[] {
  return snapshots.map(({ key, reasons }) => `${key}: ${reasons.join(', ')}`);
}

function left(): string[] {
  return [...store.storage.keys()];
}

describe('pruning', () => {
  test('keeps the last of each name', async () => {
    await saved('shop-1', 'shop-2', 'blog-3', 'shop-4');
    const report = await prune({ keepLast: 2 });
    expect(keysOf(report.removed)).toEqual(['shop-1: keep-last']);
    expect(left()).toEqual(['shop-2', 'blog-3', 'shop-4']);
    expect(report).toMatchObject({ store: 'memory', dryRun: false, failed: [], damaged: [] });
    expect(log.lines).toEqual([]);
  });

  test('keeps what is young enough', async () => {
    await saved('shop-1', 'shop-93', 'shop-94');
    await prune({ keepWithinMs: 7 * dayMs });
    expect(left()).toEqual(['shop-94']);
  });

  test('keeps what any of two rules keeps', async () => {
    await saved('blog-1', 'blog-2', 'shop-98', 'shop-99');
    expect(keysOf((await prune({ keepLast: 1, keepWithinMs: 7 * dayMs })).removed)).toEqual([
      'blog-1: keep-last, keep-within',
    ]);
  });

  test('removes the oldest of all until it fits, and counts', async () => {
    await saved('shop-1', 'blog-2', 'shop-3');
    const sizes = new Map((await store.list(signal)).map(({ key, sizeBytes }) => [key, sizeBytes]));
    const maxBytes = (sizes.get('shop-3') ?? 0) + 1;
    const report = await prune({ maxBytes });
    expect(keysOf(report.removed)).toEqual(['blog-2: max-size', 'shop-1: max-size']);
    expect(keysOf(report.kept)).toEqual(['shop-3: max-size']);
    expect(report.freedBytes).toBe((sizes.get('shop-1') ?? 0) + (sizes.get('blog-2') ?? 0));
    expect(report.keptBytes).toBe(sizes.get('shop-3'));
    expect(report.removed[0]).toMatchObject({
      ...{ name: 'blog', createdAt: '1970-01-03T00:00:00.000Z' },
      ...{ ageSeconds: 98 * 24 * 3600, sizeBytes: sizes.get('blog-2') },
    });
  });

  test('looks at the given names alone, also for their size', async () => {
    await saved('blog-1', 'shop-2', 'shop-3', 'cart-4', 'cart-5');
    await prune({ names: ['shop', 'cart'], keepLast: 1, maxBytes: 1_000_000 });
    expect(left()).toEqual(['blog-1', 'shop-3', 'cart-5']);
    await prune({ names: ['shop'], maxBytes: 1 });
    expect(left()).toEqual(['blog-1', 'cart-5']);
  });

  test('removes nothing in a dry run, and says the same', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    const dry = await prune({ keepLast: 1, protect: ['shop'], dryRun: true });
    expect(left()).toEqual(['shop-1', 'shop-2', 'shop-3']);
    expect(await prune({ keepLast: 1, protect: ['shop'] })).toEqual({ ...dry, dryRun: false });
    expect(left()).toEqual(['shop-3']);
  });

  test('never removes a snapshot whose manifest cannot be read', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    store.damage('shop-1', 'manifest.json');
    const report = await prune({ keepLast: 1, maxBytes: 1 });
    expect(keysOf(report.kept)).toEqual(['shop-1: unreadable']);
    expect(left()).toEqual(['shop-1']);
    store.failNext('readFile', new AppError('store-unavailable', 'EACCES'));
    expect(keysOf((await prune({ keepLast: 1 })).kept)).toEqual(['shop-1: unreadable']);
  });

  test('needs a rule, and a store that can list', async () => {
    await expect(prune({ protect: ['shop'] })).rejects.toMatchObject({
      code: 'invalid-settings',
      hint: expect.stringContaining('--keep-last 3'),
    });
    await expect(prune({ keepLast: 1 }, { store: plainStore(store) })).rejects.toMatchObject({
      code: 'invalid-settings',
    });
  });

  test('warns of names and patterns that nothing has', async () => {
    await saved('shop-1');
    await prune({ names: ['shpo'], protect: ['blgo*', 'shop'], keepLast: 1 });
    expect(log.lines).toEqual([
      'warn: no snapshot has the name shpo',
      'warn: "blgo*" protects nothing: no snapshot has such a name or key',
    ]);
  });
});

describe('of what is protected', () => {
  test('the newest one stays, whatever the rules say', async () => {
    await saved('shop-1', 'shop-2', 'blog-3');
    const report = await prune({ maxBytes: 1, protect: ['shop'] });
    expect(keysOf(report.kept)).toEqual(['shop-2: protected']);
    expect(left()).toEqual(['shop-2']);
    // Nothing else was read.
    expect(store.calls.filter((call) => call.startsWith('load'))).toEqual(['load shop-2']);
  });

  test('the newest whole one stays, though a damaged one is the last', async () => {
    await saved('shop-1', 'shop-2', 'shop-3', 'shop-4');
    store.damage('shop-4', 'data.tar.zst');
    store.damage('shop-3', 'SHA256SUMS');
    const report = await prune({ keepLast: 1, protect: ['shop'] });
    expect(keysOf(report.kept)).toEqual(['shop-4: keep-last', 'shop-2: protected']);
    expect(left()).toEqual(['shop-2', 'shop-4']);
    expect(report.damaged).toMatchObject([
      { key: 'shop-4', problem: { code: 'snapshot-corrupt' } },
      { key: 'shop-3', problem: { code: 'snapshot-corrupt' } },
    ]);
    expect(log.lines).toEqual([
      expect.stringMatching(/^warn: shop-4 is damaged: data.tar.zst is damaged/),
      expect.stringMatching(/^warn: shop-3 is damaged: manifest.json is damaged/),
    ]);
  });

  test('all stays where none is whole, and nothing else does', async () => {
    await saved('shop-1', 'blog-2', 'shop-3', 'blog-4');
    for (const key of ['shop-1', 'shop-3']) store.damage(key, 'data.tar.zst');
    const report = await prune({ keepLast: 1, protect: ['*'] });
    expect(keysOf(report.kept)).toEqual([
      'blog-4: protected, keep-last',
      'shop-3: held, keep-last',
      'shop-1: held',
    ]);
    expect(left()).toEqual(['shop-1', 'shop-3', 'blog-4']);
    expect(log.lines.at(-1)).toBe(
      'warn: no snapshot of shop that "*" protects is whole: nothing of shop is removed',
    );
  });

  test('all stays where the store gives none', async () => {
    await saved('shop-1', 'shop-2');
    const broken = new AppError('store-unavailable', 'no room to load');
    store.failNext('load', broken);
    store.failNext('load', broken);
    await prune({ maxBytes: 1, protect: ['shop'] });
    expect(left()).toEqual(['shop-1', 'shop-2']);
    expect(log.lines[0]).toBe('warn: shop-2 could not be verified: no room to load');
  });

  test('each name of a pattern has its own, and a key may be meant as well', async () => {
    await saved('shop-1', 'shop-2', 'shed-3', 'blog-4', 'shed-5', 'shop-6', 'blog-7');
    await prune({ maxBytes: 1, protect: ['sh*', 'shop-2', 'blog-4'] });
    expect(left()).toEqual(['shop-2', 'blog-4', 'shed-5', 'shop-6']);
  });

  test('a key that is damaged holds its name', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    store.damage('shop-1', 'data.tar.zst');
    await prune({ keepLast: 1, protect: ['shop-1'] });
    expect(left()).toEqual(['shop-1', 'shop-2', 'shop-3']);
  });
});

describe('while others use the store', () => {
  /** The same storage, where `meanwhile` happens when `key` is loaded. */
  function disturbed(key: string, meanwhile: () => Promise<void> | void): MemoryStore {
    const other = new MemoryStore(store.storage);
    other.load = async (found, ...rest) => {
      if (found.key === key) await meanwhile();
      return store.load(found, ...rest);
    };
    return other;
  }

  test('what has gone is no error, and no other one is kept for it', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    const other = disturbed('shop-3', () => {
      store.evict('shop-1');
    });
    const report = await prune({ keepLast: 1, protect: ['shop'] }, { store: other });
    expect(keysOf(report.removed)).toEqual(['shop-2: keep-last']);
    expect(log.lines).toEqual(['info: shop-1 has just been removed by others']);
  });

  test('the next one is protected where the newest goes before it is read', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    const other = disturbed('shop-3', () => {
      store.evict('shop-3');
    });
    const report = await prune({ maxBytes: 1, protect: ['shop'] }, { store: other });
    expect(keysOf(report.kept)).toEqual(['shop-2: protected']);
    expect(left()).toEqual(['shop-2']);
  });

  test('nothing is removed of a name whose protected one goes after it was read', async () => {
    await saved('shop-1', 'blog-2', 'blog-3', 'shop-4');
    // shop is read before blog: its newest is newer.
    const other = disturbed('blog-3', () => {
      store.evict('shop-4');
    });
    const report = await prune({ keepLast: 1, protect: ['*'] }, { store: other });
    expect(keysOf(report.kept)).toEqual(['blog-3: protected, keep-last', 'shop-1: held']);
    expect(left()).toEqual(['shop-1', 'blog-3']);
    expect(log.lines).toEqual(['warn: others have removed shop-4: nothing of shop is removed']);
  });

  test('what was removed and saved anew under its key is another one', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    const other = disturbed('shop-3', async () => {
      store.evict('shop-1');
      savedMs = nowMs;
      await storeSnapshot(store, scratch, { key: 'shop-1', name: 'shop' });
    });
    await prune({ keepLast: 1, protect: ['shop'] }, { store: other });
    expect(left()).toEqual(['shop-3', 'shop-1']);
  });

  test('what cannot be removed is told, and keeps none of the others', async () => {
    await saved('shop-1', 'shop-2', 'shop-3');
    store.failNext('remove', new AppError('store-unavailable', 'EACCES'));
    const report = await prune({ keepLast: 1 });
    expect(report.failed).toMatchObject([{ key: 'shop-2', problem: { message: 'EACCES' } }]);
    expect(keysOf(report.removed)).toEqual(['shop-1: keep-last']);
    expect(report.keptBytes).toBeGreaterThan(2000);
    expect(left()).toEqual(['shop-2', 'shop-3']);
  });
});
