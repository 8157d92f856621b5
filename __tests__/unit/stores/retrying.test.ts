import { beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/index.ts';
import { createRetryingStore } from '../../../src/stores/retrying.ts';
import type { ListableStore, SnapshotStore } from '../../../src/stores/store.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { MemoryStore, plainStore } from '../../support/memory-store.ts';
import { createRecordingLog, type RecordingLog } from '../../support/recording-log.ts';
import { testStoreContract } from '../../support/store-contract.ts';

const patient = { timeoutMs: 60_000, clock: systemClock, log: silentLog };

testStoreContract('the retrying store', () => {
  const store = new MemoryStore();
  return Promise.resolve({
    store: createRetryingStore(store, patient),
    reopen: () =>
      Promise.resolve(createRetryingStore(new MemoryStore(store.storage), { ...patient })),
    close: () => Promise.resolve(),
  });
});

testStoreContract(
  'the retrying store of a plain one',
  () => {
    const memory = new MemoryStore();
    return Promise.resolve({
      store: createRetryingStore(plainStore(memory), patient),
      evict(key) {
        memory.evict(key);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    });
  },
  { listable: false, replaceable: false },
);

describe('the retrying store', () => {
  const { signal } = new AbortController();
  const lookup = { primary: 'key', prefixes: [] };
  let memory: MemoryStore;
  let clock: FakeClock;
  let log: RecordingLog;
  const opened = (inner: SnapshotStore, timeoutMs = 600_000): SnapshotStore =>
    createRetryingStore(inner, { timeoutMs, clock, log });

  beforeEach(() => {
    memory = new MemoryStore();
    clock = new FakeClock();
    log = createRecordingLog();
  });

  const passing = (retryAfterMs = 0): AppError =>
    new AppError('store-unavailable', 'it was answered 503', { retryAfterMs });
  function fail(...errors: readonly Error[]): void {
    for (const error of errors) memory.failNext('find', error);
  }
  const pauses = (): number[] => clock.pausesMs.filter((ms) => ms !== 600_000);

  test('tries again what may go better, later and later, and says so', async () => {
    fail(passing(), passing());
    expect(await clock.run(opened(memory).find(lookup, signal))).toBeUndefined();
    expect(memory.calls).toEqual(['find key', 'find key', 'find key']);
    const [first = 0, second = 0, ...others] = pauses();
    expect(others).toEqual([]);
    expect(first).toBeGreaterThanOrEqual(1000);
    expect(first).toBeLessThanOrEqual(2000);
    expect(second).toBeGreaterThanOrEqual(4000);
    expect(second).toBeLessThanOrEqual(8000);
    expect(log.lines).toEqual([
      `info: it was answered 503; trying again in ${Math.ceil(first / 1000)} s`,
      `info: it was answered 503; trying again in ${Math.ceil(second / 1000)} s`,
    ]);
    expect(clock.sleeping).toBe(0); // nothing keeps the process alive
  });

  test('tries three times, and gives the last reason', async () => {
    const last = passing();
    fail(passing(), passing(), last, passing());
    await expect(clock.run(opened(memory).find(lookup, signal))).rejects.toBe(last);
    expect(memory.calls).toHaveLength(3);
    expect(clock.sleeping).toBe(0);
  });

  test('tries each verb of the store again', async () => {
    // Casts: what it wraps can be listed.
    const store = opened(memory) as ListableStore;
    for (const verb of ['list', 'readFile', 'remove', 'load'] as const) {
      memory.failNext(verb, passing());
    }
    await clock.run(store.list(signal));
    await clock.run(store.readFile('key', 'manifest.json', signal));
    await clock.run(store.remove('key', signal));
    await clock.run(store.load({ key: 'key', exact: true }, '/nowhere', signal));
    expect(memory.calls).toHaveLength(8);
  });

  test.each([
    new AppError('store-unavailable', '403'),
    new AppError('snapshot-corrupt', 'damaged'),
    new AppError('cancelled', 'cancelled'),
    new Error('a bug'),
  ])('does not try again after $message', async (error) => {
    fail(error);
    await expect(clock.run(opened(memory).find(lookup, signal))).rejects.toThrow(error.message);
    expect(memory.calls).toHaveLength(1);
  });

  test('leaves a service alone for as long as it wants, if that is not too long', async () => {
    fail(passing(30_000));
    await clock.run(opened(memory).find(lookup, signal));
    expect(pauses()).toEqual([30_000]);
    const busy = passing(61_000);
    fail(busy);
    await expect(clock.run(opened(memory).find(lookup, signal))).rejects.toBe(busy);
    expect(pauses()).toEqual([30_000]);
  });

  test('does not begin a pause that would end too late', async () => {
    const busy = passing(30_000);
    fail(busy);
    await expect(clock.run(opened(memory, 30_000).find(lookup, signal))).rejects.toBe(busy);
    expect(clock.monotonicMs()).toBe(0);
  });

  test('ends in a pause at once when it is cancelled', async () => {
    fail(passing());
    const controller = new AbortController();
    const finding = opened(memory).find(lookup, controller.signal);
    const cancelled = expect(finding).rejects.toMatchObject({ code: 'cancelled' });
    while (clock.sleeping < 2) await new Promise((next) => setImmediate(next));
    controller.abort();
    await cancelled;
    expect(memory.calls).toHaveLength(1);
    expect(clock.sleeping).toBe(0);
  });

  test('ends what stalls when its time is over, and counts the tries before', async () => {
    const seen: AbortSignal[] = [];
    const stalled: SnapshotStore = {
      ...plainStore(memory),
      find(_, limit) {
        seen.push(limit);
        if (seen.length === 1) return Promise.reject(passing(20_000));
        return new Promise((_resolve, reject) => {
          limit.addEventListener('abort', () => {
            reject(new AppError('cancelled', 'cancelled'));
          });
        });
      },
    };
    await expect(clock.run(opened(stalled, 60_000).find(lookup, signal))).rejects.toMatchObject({
      code: 'store-unavailable',
      message: 'plain: could not look up key: it was not done within 60 s',
      hint: expect.stringContaining('store-timeout'),
      retryAfterMs: undefined,
    });
    expect(seen).toHaveLength(2);
    expect(clock.monotonicMs()).toBe(60_000);
    expect(clock.sleeping).toBe(0);
  });
});
