import { readdir } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/index.ts';
import type { Progress } from '../../../src/log.ts';
import type { SnapshotTools } from '../../../src/usecases/context.ts';
import { verifySnapshot, verifySnapshots, type Verdict } from '../../../src/usecases/verify.ts';
import { MemoryStore, plainStore } from '../../support/memory-store.ts';
import { createScratch, type ScratchFolder } from '../../support/store-bundles.ts';
import { storeSnapshot } from '../../support/store-snapshots.ts';

const { signal } = new AbortController();
const all = { name: undefined, sample: undefined };
let scratch: ScratchFolder;
let store: MemoryStore;
let tools: SnapshotTools;

beforeEach(async () => {
  scratch = await createScratch();
  store = new MemoryStore();
  tools = { store, log: silentLog, clock: systemClock, scratchDir: await scratch.folder('run') };
  for (const [key, name] of Object.entries({ a: 'shop', b: 'other', c: 'shop' })) {
    await storeSnapshot(store, scratch, { key, name });
  }
});

afterEach(async () => {
  // Whatever happened, what was loaded is gone: many snapshots take no more room than one.
  expect(await readdir(tools.scratchDir)).toEqual([]);
  await scratch.remove();
});

function states(verdicts: readonly Verdict[]): string[] {
  return verdicts.map(({ key, state }) => `${key} ${state}`);
}

describe('one snapshot', () => {
  test('is read byte by byte', async () => {
    expect(await verifySnapshot(tools, 'a', signal)).toMatchObject({
      ...{ key: 'a', store: 'memory', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      archives: [{ archive: 'data.tar.zst', sha256: expect.any(String) }],
    });
    store.damage('a', 'data.tar.zst', 999);
    const verified = verifySnapshot(tools, 'a', signal);
    await expect(verified).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  });

  test('is the newest one where a name is given', async () => {
    expect(await verifySnapshot(tools, 'shop', signal)).toMatchObject({ key: 'c' });
  });

  test('tells how far it is', async () => {
    const progress: Progress[] = [];
    const log = { ...silentLog, progress: (each: Progress) => void progress.push(each) };
    await verifySnapshot({ ...tools, log }, 'a', signal);
    expect(progress.at(-1)).toEqual({ label: 'verifying a', bytes: 1000, totalBytes: 1000 });
  });
});

describe('all snapshots', () => {
  test('are read whatever is wrong with one, newest first', async () => {
    await storeSnapshot(store, scratch, { key: 'd', name: 'shop' });
    store.damage('c', 'data.tar.zst');
    store.damage('b', 'manifest.json');
    store.failNext('load', new AppError('store-unavailable', 'a shelf is missing')); // of d
    const { snapshots } = await verifySnapshots(tools, all, signal);
    expect(states(snapshots)).toEqual(['d unverified', 'c damaged', 'b damaged', 'a whole']);
    expect(snapshots[0]).toMatchObject({ problem: { code: 'store-unavailable' } });
    expect(snapshots[1]).toMatchObject({
      problem: { code: 'snapshot-corrupt', message: expect.stringContaining('data.tar.zst is') },
    });
  });

  test('that go in the meantime are skipped', async () => {
    const leaving = new MemoryStore(store.storage);
    leaving.load = (found, ...rest) => {
      if (found.key === 'c') leaving.evict('b');
      if (found.key === 'a') leaving.evict('a');
      return store.load(found, ...rest);
    };
    const { snapshots } = await verifySnapshots({ ...tools, store: leaving }, all, signal);
    expect(states(snapshots)).toEqual(['c whole', 'b gone', 'a gone']);
  });

  test('of one name, or a sample', async () => {
    const named = await verifySnapshots(tools, { ...all, name: 'shop' }, signal);
    expect(states(named.snapshots)).toEqual(['c whole', 'a whole']);
    const sample = { kind: 'share', percent: 50 } as const;
    const drawn = await verifySnapshots(tools, { name: undefined, sample }, signal);
    expect(drawn.snapshots).toHaveLength(2);
    expect((await verifySnapshots(tools, { name: 'shop', sample }, signal)).snapshots).toHaveLength(
      1,
    );
  });

  test('of a name that nobody has are an error: nothing would be verified', async () => {
    const verified = verifySnapshots(tools, { ...all, name: 'shpo' }, signal);
    await expect(verified).rejects.toMatchObject({ code: 'snapshot-missing' });
  });

  test('are not known in a store that cannot list', async () => {
    const verified = verifySnapshots({ ...tools, store: plainStore(store) }, all, signal);
    await expect(verified).rejects.toMatchObject({ code: 'invalid-settings' });
  });

  test('are left when it is cancelled', async () => {
    const controller = new AbortController();
    const progress = (): void => {
      controller.abort();
    };
    const log = { ...silentLog, progress };
    const verified = verifySnapshots({ ...tools, log }, all, controller.signal);
    await expect(verified).rejects.toMatchObject({ name: 'AbortError' });
    expect(store.calls.filter((call) => call.startsWith('load'))).toEqual(['load c']);
  });
});
