import { setImmediate as nextTurn } from 'node:timers/promises';

import { systemClock, type Clock } from '../../src/clock.ts';

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

const hourMs = 3_600_000;

/** Time that passes only while somebody sleeps. Its wall clock is set at every reading: five hours on, five hours back. */
export class FakeClock implements Clock {
  /** Every pause that was asked for, in order. */
  readonly pausesMs: number[] = [];
  #elapsedMs = 0;
  #readings = 0;
  readonly #sleepers = new Set<Sleeper>();

  now(): number {
    this.#readings += 1;
    return Date.UTC(2026, 0, 1) + (this.#readings % 2 === 0 ? -5 : 5) * hourMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  get sleeping(): number {
    return this.#sleepers.size;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.pausesMs.push(ms);
    signal?.throwIfAborted();
    const over = Promise.withResolvers<undefined>();
    const sleeper = {
      dueMs: this.#elapsedMs + ms,
      wake: () => {
        over.resolve(undefined);
      },
    };
    const abort = (): void => {
      over.reject(new DOMException('aborted', 'AbortError'));
    };
    this.#sleepers.add(sleeper);
    signal?.addEventListener('abort', abort);
    try {
      await over.promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Time goes on to the next alarm, if there is one. */
  wakeNext(): void {
    const [next] = [...this.#sleepers].sort((a, b) => a.dueMs - b.dueMs);
    if (next === undefined) return;
    this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
    next.wake();
  }

  /** How `work`, which waits for nothing but this clock, ends: whenever all sleep, time goes on to the next alarm. */
  async run<T>(work: Promise<T>): Promise<T> {
    const settled = new AbortController();
    const settle = (): void => {
      settled.abort();
    };
    work.then(settle, settle);
    while (!settled.signal.aborted) {
      await nextTurn(); // what was woken last may go to sleep again
      this.wakeNext();
    }
    return work;
  }
}

/** Real time, in which pauses are a hundred times as short. */
export const hastyClock: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
};
