import { setTimeout as sleep } from 'node:timers/promises';

/** Time, so that waiting can be tested without waiting. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Rejects with an AbortError when `signal` fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
};

/** Seconds since `startMs`, to the millisecond. */
export function secondsSince(clock: Clock, startMs: number): number {
  return Math.round(clock.now() - startMs) / 1000;
}
