import { AppError } from '../errors.ts';
import { BrokenOff } from './stream-errors.ts';

/** One of several that work on one stream at the same time, as a process or as streams of this one. */
export interface Part<T = unknown> {
  /** Rejects with BrokenOff where a neighbour has left, or after `stop`. */
  readonly done: Promise<T>;
  stop(): void;
}

/**
 * Waits for all of them. When one fails they all end: by themselves where a stream between them breaks, so that each
 * can say what is wrong with it, else they are stopped.
 * @throws what tells most: an AppError, of the first part that has one
 */
export async function together(parts: readonly Part[], signal: AbortSignal): Promise<void> {
  const stop = (): void => {
    for (const part of parts) part.stop();
  };
  for (const { done } of parts) {
    done.catch((error: unknown) => {
      if (!(error instanceof BrokenOff)) stop();
    });
  }
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const results = await Promise.allSettled(parts.map(({ done }) => done));
    signal.throwIfAborted();
    const errors = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    const told = errors.filter((error) => !(error instanceof BrokenOff));
    if (errors.length > 0)
      throw told.find((error) => error instanceof AppError) ?? told[0] ?? errors[0];
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
