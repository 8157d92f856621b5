import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { silentLog } from '../../../src/index.ts';
import { writeBundle } from '../../../src/snapshot/bundle.ts';
import type { SnapshotStore } from '../../../src/stores/store.ts';
import type { SnapshotTools } from '../../../src/usecases/context.ts';
import {
  findSnapshot,
  inspectSnapshot,
  listSnapshots,
  removeSnapshot,
  verifySnapshot,
} from '../../../src/usecases/stored.ts';
import { makeManifest } from '../../support/manifests.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { createScratch, fill, type ScratchFolder } from '../../support/store-bundles.ts';

const { signal } = new AbortController();
let scratch: ScratchFolder;
let store: MemoryStore;
let tools: SnapshotTools;

beforeEach(async () => {
  scratch = await createScratch();
  store = new MemoryStore(undefined, () => 0);
  tools = { store, log: silentLog, clock: systemClock, scratchDir: await scratch.folder('run') };
});
afterEach(() => scratch.remove());

/** A snapshot whose manifest is right; its archive has the right size, and other bytes than it should have. */
async function saved(key: string): Promise<void> {
  const dir = join(scratch.path, key);
  await mkdir(dir);
  await fill(dir, key, { 'data.tar.zst': 5 });
  await writeBundle(dir, makeManifest({ key }));
  await store.save(key, dir, signal);
}

/** A store that can only do what every store can. */
function plainStore(): SnapshotStore {
  return {
    name: 'plain',
    find: (lookup, abort) => store.find(lookup, abort),
    load: (found, dir, abort) => store.load(found, dir, abort),
    save: (key, dir, abort) => store.save(key, dir, abort),
  };
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

  test('by its whole key only, in a store that cannot list', async () => {
    expect(await findSnapshot(plainStore(), 'app-1', signal)).toMatchObject({ key: 'app-1' });
    const shortened = findSnapshot(plainStore(), 's', signal);
    await expect(shortened).rejects.toMatchObject({ code: 'snapshot-missing' });
  });
});

describe('a snapshot', () => {
  test('is listed with what its manifest tells, and without where that is damaged', async () => {
    await saved('a');
    await saved('b');
    store.damage('a', 'manifest.json');
    expect(await listSnapshots(tools, signal)).toEqual([
      expect.objectContaining({ key: 'b', engine: 'postgres', image: 'postgres:17' }),
      expect.objectContaining({ key: 'a', engine: undefined, image: undefined }),
    ]);
  });

  test('is inspected alike in every store, with the digest of its manifest', async () => {
    await saved('a');
    const listable = await inspectSnapshot(tools, 'a', signal);
    const plain = await inspectSnapshot({ ...tools, store: plainStore() }, 'a', signal);
    expect(listable).toMatchObject({ key: 'a', sizeBytes: 5, manifest: { key: 'a' } });
    expect(plain).toEqual({ ...listable, store: 'plain' });
  });

  test('is verified byte by byte', async () => {
    await saved('a');
    const verified = verifySnapshot(tools, 'a', signal);
    await expect(verified).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  });

  test('is removed, but not from a store that cannot', async () => {
    await saved('a');
    await expect(removeSnapshot({ store: plainStore() }, 'a', signal)).rejects.toMatchObject({
      code: 'invalid-settings',
    });
    expect(await removeSnapshot(tools, 'a', signal)).toEqual({ key: 'a', store: 'memory' });
    await expect(removeSnapshot(tools, 'a', signal)).rejects.toMatchObject({
      code: 'snapshot-missing',
    });
  });
});
