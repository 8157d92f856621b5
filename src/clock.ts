import { setTimeout as sleep } from 'node:timers/promises';

/** Time, so that waiting can be tested without waiting. */
export interface Clock {
  /** Milliseconds since the epoch: for dates and ages. Somebody may set this clock at any moment. */
  now(): number;
  /** Whole milliseconds since some moment: for durations and deadlines. Nobody sets this clock. */
  monotonicMs(): number;
  /** Rejects with an AbortError when `signal` fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => Math.trunc(performance.now()),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
};

/** Seconds since `startMs`, a moment of `monotonicMs`; to the millisecond. */
export function secondsSince(clock: Pick<Clock, 'monotonicMs'>, startMs: number): number {
  return (clock.monotonicMs() - startMs) / 1000;
}

/** How old that is which was made at `dateMs`, a moment of `now`; to the millisecond. */
export function ageSeconds(clock: Pick<Clock, 'now'>, dateMs: number): number {
  return Math.round(clock.now() - dateMs) / 1000;
}
