import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/index.ts';
import { writeBundle } from '../../../src/snapshot/bundle.ts';
import type { SnapshotTools } from '../../../src/usecases/context.ts';
import {
  findSnapshot,
  inspectSnapshot,
  listSnapshots,
  removeSnapshot,
} from '../../../src/usecases/stored.ts';
import { makeManifest } from '../../support/manifests.ts';
import { MemoryStore, plainStore } from '../../support/memory-store.ts';
import { createScratch, fill, type ScratchFolder } from '../../support/store-bundles.ts';

const { signal } = new AbortController();
const nowMs = Date.UTC(2026, 10, 22, 9);
let scratch: ScratchFolder;
let store: MemoryStore;
let tools: SnapshotTools;

beforeEach(async () => {
  scratch = await createScratch();
  store = new MemoryStore(undefined, () => 0);
  const clock = { ...systemClock, now: () => nowMs };
  tools = { store, log: silentLog, clock, scratchDir: await scratch.folder('run') };
});
afterEach(() => scratch.remove());

/** A snapshot whose manifest is right. Its archive is not looked at here. */
async function saved(key: string, name = 'db'): Promise<void> {
  const dir = join(scratch.path, key);
  await mkdir(dir);
  await fill(dir, key, { 'data.tar.zst': 5 });
  await writeBundle(dir, makeManifest({ key, name }));
  await store.save(key, dir, signal);
}

describe('a snapshot is found', () => {
  beforeEach(async () => {
    for (const key of ['app', 'app-1', 'app-12', 'shop']) await saved(key);
  });

  test.each([
    ['app', 'app'],
    ['app-1', 'app-1'],
    ['app-12', 'app-12'],
    ['s', 'shop'],
  ])('by %s: %s', async (given, key) => {
    expect(await findSnapshot(store, given, signal)).toMatchObject({ key });
  });

  test('not by what several keys begin with, which are all named', async () => {
    await expect(findSnapshot(store, 'ap', signal)).rejects.toMatchObject({
      code: 'invalid-settings',
      details: ['app-12', 'app-1', 'app'],
    });
  });

  test('not by nothing, and not by what no key begins with', async () => {
    for (const given of ['', 'pp', 'app-123']) {
      const found = findSnapshot(store, given, signal);
      await expect(found).rejects.toMatchObject({ code: 'snapshot-missing' });
    }
  });

  test('by its name: the newest one, but not before the key', async () => {
    for (const [key, name] of [
      ['first', 'app'],
      ['shop-1', 'sho'],
      ['shop-2', 'sho'],
      ['other', 'shop'],
      ['damaged', 'sho'],
    ] as const) {
      await saved(key, name);
    }
    store.damage('damaged', 'manifest.json');
    for (const [given, key] of [
      ['app', 'app'], // the key itself
      ['sho', 'shop-2'], // the name of two, and the beginning of three
      ['shop', 'shop'],
      ['db', 'shop'], // of all that have the name
    ] as const) {
      expect(await findSnapshot(store, given, signal)).toMatchObject({ key });
    }
  });

  test('by its name, whatever is wrong with a newer one', async () => {
    const unreadable = new AppError('store-unavailable', 'EACCES');
    store.failNext('readFile', unreadable);
    expect(await findSnapshot(store, 'db', signal)).toMatchObject({ key: 'app-12' });
  });

  test('by its whole key only, in a store that cannot list', async () => {
    expect(await findSnapshot(plainStore(store), 'app-1', signal)).toMatchObject({ key: 'app-1' });
    const shortened = findSnapshot(plainStore(store), 's', signal);
    await expect(shortened).rejects.toMatchObject({ code: 'snapshot-missing' });
  });
});

describe('a snapshot', () => {
  test('is listed with what its manifest tells, and without where that is damaged', async () => {
    await saved('a');
    await saved('b');
    store.damage('a', 'manifest.json');
    const ageSeconds = nowMs / 1000;
    expect(await listSnapshots(tools, undefined, signal)).toEqual([
      expect.objectContaining({ key: 'b', name: 'db', engine: 'postgres', image: 'postgres:17' }),
      expect.objectContaining({ key: 'a', name: undefined, engine: undefined, ageSeconds }),
    ]);
  });

  test('is listed by its name', async () => {
    for (const [key, name] of Object.entries({ a: 'shop', b: 'other', c: 'shop' })) {
      await saved(key, name);
    }
    const keysOf = async (name: string): Promise<string[]> =>
      (await listSnapshots(tools, name, signal)).map(({ key }) => key);
    expect(await keysOf('shop')).toEqual(['c', 'a']);
    expect(await keysOf('none')).toEqual([]);
  });

  test('that goes while all are listed is left out', async () => {
    await saved('a');
    await saved('b');
    const leaving = new MemoryStore(store.storage);
    leaving.readFile = (key, ...rest) => {
      if (key === 'b') leaving.evict('b');
      return store.readFile(key, ...rest);
    };
    expect(await listSnapshots({ ...tools, store: leaving }, undefined, signal)).toMatchObject([
      { key: 'a' },
    ]);
  });

  test('is inspected alike in every store, with the digest of its manifest', async () => {
    await saved('a');
    const listable = await inspectSnapshot(tools, 'a', signal);
    const plain = await inspectSnapshot({ ...tools, store: plainStore(store) }, 'a', signal);
    const ageSeconds = 24 * 60 * 60;
    expect(listable).toMatchObject({ key: 'a', sizeBytes: 5, ageSeconds, manifest: { key: 'a' } });
    expect(plain).toEqual({ ...listable, store: 'plain' });
  });
});

describe('a snapshot is removed', () => {
  const refusal = (key: string): Promise<unknown> =>
    removeSnapshot(tools, key, signal).then(
      () => undefined,
      (error: unknown) => error,
    );

  test('by its key or a beginning, but not from a store that cannot', async () => {
    await saved('a-1');
    const plain = { store: plainStore(store) };
    await expect(removeSnapshot(plain, 'a-1', signal)).rejects.toMatchObject({
      code: 'invalid-settings',
    });
    expect(await removeSnapshot(tools, 'a-', signal)).toEqual({ key: 'a-1', store: 'memory' });
    expect(await refusal('a-1')).toMatchObject({ code: 'snapshot-missing' });
    expect(await refusal('')).toMatchObject({ code: 'snapshot-missing' });
  });

  test('not by a name that has several, whose keys are told', async () => {
    await saved('shop-1', 'shop');
    await saved('before', 'shop');
    expect(await refusal('shop')).toMatchObject({
      code: 'invalid-settings',
      message: '"shop" is the name of 2 snapshots in memory',
      details: ['before', 'shop-1'],
    });
    expect(await refusal('before')).toBeUndefined();
    // Now the name has one, and the name is the beginning of its key and of no other.
    await saved('shop-other', 'other');
    expect(await refusal('shop')).toMatchObject({ details: ['shop-other', 'shop-1'] });
    store.evict('shop-other');
    expect(await refusal('shop')).toBeUndefined();
  });

  test('not by a name that its key does not begin with', async () => {
    await saved('before', 'shop');
    expect(await refusal('shop')).toMatchObject({
      code: 'invalid-settings',
      message: '"shop" is the name of a snapshot in memory',
      details: ['before'],
    });
  });
});
