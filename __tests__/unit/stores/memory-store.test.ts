import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readdir } from 'node:fs/promises';

import { AppError } from '../../../src/errors.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { contentsOf, createScratch, type ScratchFolder } from '../../support/store-bundles.ts';
import { testStoreContract } from '../../support/store-contract.ts';

testStoreContract('the store in memory', () => {
  const store = new MemoryStore();
  return Promise.resolve({
    store,
    reopen: () => Promise.resolve(new MemoryStore(store.storage)),
    close: () => Promise.resolve(),
  });
});

describe('the store in memory fails to order', () => {
  const { signal } = new AbortController();
  const found = { key: 'app-1', exact: true };
  let scratch: ScratchFolder;
  let store: MemoryStore;
  let bundle: string;

  beforeEach(async () => {
    scratch = await createScratch();
    store = new MemoryStore();
    bundle = await scratch.bundle('app-1');
  });

  afterEach(() => scratch.remove());

  async function load(): Promise<Readonly<Record<string, string>>> {
    const dir = await scratch.folder('loaded');
    expect(await store.load(found, dir, signal)).toBe(true);
    return contentsOf(dir);
  }

  test('the next calls of a verb fail as told, in order, and other verbs do not', async () => {
    const full = new AppError('store-unavailable', 'full');
    const down = new AppError('store-unavailable', 'down');
    store.failNext('save', full);
    store.failNext('save', down);
    expect(await store.list(signal)).toEqual([]);
    await expect(store.save('app-1', bundle, signal)).rejects.toBe(full);
    await expect(store.save('app-1', bundle, signal)).rejects.toBe(down);
    expect(await store.save('app-1', bundle, signal)).toBe('saved');
    expect(store.calls).toEqual(['list', 'save app-1', 'save app-1', 'save app-1']);
  });

  test('a damaged file differs in one bit, the others are as they were', async () => {
    await store.save('app-1', bundle, signal);
    const before = await store.readFile('app-1', 'data.tar.zst', signal);
    const contents = await load();
    store.damage('app-1', 'data.tar.zst', 1000);
    const after = await store.readFile('app-1', 'data.tar.zst', signal);
    const changed = [...(before ?? [])].flatMap((byte, at) => (byte === after?.[at] ? [] : [at]));
    expect(changed).toEqual([1000]);
    expect(await load()).toEqual({ ...contents, 'data.tar.zst': expect.any(String) });
  });

  test('a truncated file is short', async () => {
    await store.save('app-1', bundle, signal);
    store.truncate('app-1', 'data.tar.zst', 10);
    expect((await load())['data.tar.zst']).toMatch(/^10 B /);
  });

  test('an evicted snapshot is gone', async () => {
    await store.save('app-1', bundle, signal);
    store.evict('app-1');
    const dir = await scratch.folder('loaded');
    expect(await store.load(found, dir, signal)).toBe(false);
    expect(await readdir(dir)).toEqual([]);
  });
});
