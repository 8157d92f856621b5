import type { Clock } from '../clock.ts';
import { AppError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { isListable, isReplaceable, type SnapshotStore } from './store.ts';

export interface Patience {
  /** For one operation as a whole: its tries, and the pauses between them. */
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly log: Log;
}

// docs/stores.md says so, too.
const tries = 3;
const firstPauseMs = 2000;
/** Each pause is so much longer than the one before. */
const growth = 4;
/** A service that wants to be left alone for longer is not waited for. */
const longestPauseMs = 60_000;

/**
 * The same store, patient up to a limit: what may go better at another try (`AppError.retryAfterMs`) is tried again,
 * and an operation that is not done within `timeoutMs` ends as `store-unavailable`. The store itself must end soon when
 * its signal fires, as every store does.
 */
export function createRetryingStore(store: SnapshotStore, patience: Patience): SnapshotStore {
  const attempt = <T>(
    what: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => withinTime(`${store.name}: could not ${what}`, signal, patience, work);

  return {
    name: store.name,
    find: (lookup, signal) =>
      attempt(`look up ${lookup.primary}`, signal, (limit) => store.find(lookup, limit)),
    load: (found, dir, signal) =>
      attempt(`load ${found.key}`, signal, (limit) => store.load(found, dir, limit)),
    save: (key, dir, signal) =>
      attempt(`save ${key}`, signal, (limit) => store.save(key, dir, limit)),
    ...(isReplaceable(store) && {
      replace: (key: string, dir: string, signal: AbortSignal) =>
        attempt(`replace ${key}`, signal, (limit) => store.replace(key, dir, limit)),
    }),
    ...(isListable(store) && {
      list: (signal: AbortSignal) =>
        attempt('list snapshots', signal, (limit) => store.list(limit)),
      readFile: (key: string, name: string, signal: AbortSignal) =>
        attempt(`read ${name} of ${key}`, signal, (limit) => store.readFile(key, name, limit)),
      remove: (key: string, signal: AbortSignal) =>
        attempt(`remove ${key}`, signal, (limit) => store.remove(key, limit)),
    }),
  };
}

async function withinTime<T>(
  what: string,
  signal: AbortSignal,
  patience: Patience,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { timeoutMs, clock } = patience;
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  const late = new AbortController();
  const ended = new AbortController();
  const onTime = (): void => {
    late.abort();
  };
  clock.sleep(timeoutMs, ended.signal).then(onTime, () => undefined);
  try {
    return await withRetries(deadlineMs, AbortSignal.any([signal, late.signal]), patience, work);
  } catch (thrown) {
    const error = toAppError(thrown);
    // What has failed of itself in the last moment says more than "too late".
    if (error.code !== 'cancelled' || signal.aborted || !late.signal.aborted) throw error;
    const seconds = timeoutMs / 1000;
    throw new AppError('store-unavailable', `${what}: it was not done within ${seconds} s`, {
      cause: error,
      hint: 'Raise "store-timeout" if it only needs longer',
    });
  } finally {
    ended.abort();
  }
}

async function withRetries<T>(
  deadlineMs: number,
  signal: AbortSignal,
  { clock, log }: Patience,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let left = tries - 1, pauseMs = firstPauseMs; ; left -= 1, pauseMs *= growth) {
    try {
      return await work(signal);
    } catch (error) {
      if (!(error instanceof AppError) || error.retryAfterMs === undefined || left === 0) {
        throw error;
      }
      const waitMs = Math.max(error.retryAfterMs, jittered(pauseMs));
      if (waitMs > longestPauseMs || clock.monotonicMs() + waitMs >= deadlineMs) throw error;
      log.info(`${error.message}; trying again in ${Math.ceil(waitMs / 1000)} s`);
      await clock.sleep(waitMs, signal);
    }
  }
}

/** Between half of it and all of it: the jobs of a matrix must not all come back in the same moment. */
function jittered(ms: number): number {
  return ms * (0.5 + Math.random() / 2);
}
