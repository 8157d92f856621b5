import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { systemClock } from '../../src/clock.ts';
import { silentLog } from '../../src/index.ts';
import type { RetentionRules } from '../../src/snapshot/retention.ts';
import { createFileStore } from '../../src/stores/file.ts';
import type { SnapshotTools } from '../../src/usecases/context.ts';
import { pruneSnapshots } from '../../src/usecases/prune.ts';
import { verifySnapshots } from '../../src/usecases/verify.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';
import { storeSnapshot } from '../support/store-snapshots.ts';

const { signal } = new AbortController();
const all = { name: undefined, sample: undefined };

let scratch: ScratchFolder;
let dir: string;

beforeEach(async () => {
  scratch = await createScratch();
  dir = await scratch.folder('store');
});

afterEach(() => scratch.remove());

/** As another process would have them: a store and a scratch folder of their own. */
async function newTools(): Promise<SnapshotTools> {
  const scratchDir = await scratch.folder('run');
  return { store: createFileStore(dir), log: silentLog, clock: systemClock, scratchDir };
}

/** `shop-1` to `shop-COUNT`, each a minute younger. */
async function fillStore(count: number, archiveBytes = 1000): Promise<void> {
  const beginMs = Date.now() - count * 60_000;
  for (let i = 1; i <= count; i++) {
    const store = createFileStore(dir, { now: () => beginMs + i * 60_000 });
    await storeSnapshot(store, scratch, { key: `shop-${i}`, name: 'shop', archiveBytes });
  }
}

function prune(tools: SnapshotTools, keepLast: number): ReturnType<typeof pruneSnapshots> {
  const rules: RetentionRules = { keepLast, keepWithinMs: undefined, maxBytes: undefined };
  const request = { names: [], rules, protect: ['shop'], dryRun: false };
  return pruneSnapshots(tools, request, signal);
}

test('snapshots are verified without a copy where links are possible, one at a time', async () => {
  await fillStore(3, 300_000);
  const tools = await newTools();
  const read = new Set<number>();
  const progress = (): void => {
    // The file that is read is the stored one.
    const { ino, nlink } = statSync(join(tools.scratchDir, 'loaded', 'data.tar.zst'));
    expect(nlink).toBe(2);
    read.add(ino);
  };
  const { snapshots } = await verifySnapshots(
    { ...tools, log: { ...silentLog, progress } },
    all,
    signal,
  );
  expect(snapshots.map(({ state }) => state)).toEqual(['whole', 'whole', 'whole']);
  const names = await readdir(dir);
  const stored = names.map((name) => statSync(join(dir, name, 'data.tar.zst')).ino);
  expect(read).toEqual(new Set(stored));
  expect(await readdir(tools.scratchDir)).toEqual([]);
});

test('many may prune, save and verify at once', async () => {
  await fillStore(12);
  const pruners = await Promise.all([newTools(), newTools(), newTools()]);
  const readers = await Promise.all([newTools(), newTools()]);
  const [reports, verified] = await Promise.all([
    Promise.all(pruners.map((tools) => prune(tools, 3))),
    Promise.all(readers.map((tools) => verifySnapshots(tools, all, signal))),
    storeSnapshot(createFileStore(dir), scratch, { key: 'shop-new', name: 'shop' }),
    storeSnapshot(createFileStore(dir), scratch, { key: 'blog-new', name: 'blog' }),
  ]);
  // Each went once, and what was read was whole or gone.
  const removed = reports.flatMap((report) => report.removed.map(({ key }) => key));
  expect(removed).toHaveLength(new Set(removed).size);
  expect(reports.flatMap(({ failed }) => failed)).toEqual([]);
  const states = verified.flatMap(({ snapshots }) => snapshots.map(({ state }) => state));
  expect(states.filter((state) => state !== 'whole' && state !== 'gone')).toEqual([]);

  const tools = await newTools();
  await prune(tools, 3);
  expect((await readdir(dir)).sort()).toEqual(['blog-new', 'shop-11', 'shop-12', 'shop-new']);
  const { snapshots } = await verifySnapshots(tools, all, signal);
  expect(snapshots.map(({ state }) => state)).toEqual(Array(4).fill('whole'));
});
