import { pipeline } from 'node:stream/promises';

import { AppError, isAbort } from '../errors.ts';
import { BrokenOff, describeStreamError } from './stream-errors.ts';

/** One of several that work on one stream at the same time, as a process or as streams of this one. */
export interface Part<T = unknown> {
  /** Rejects with BrokenOff where a neighbour has left, or after `stop`. */
  readonly done: Promise<T>;
  stop(): void;
}

/**
 * Waits for all of them. When one fails they all end: by themselves where a stream between them breaks, so that each
 * can say what is wrong with it, else they are stopped.
 * @param parts first those that know their neighbours' failures from their own: a process takes a neighbour's leaving
 *   for the end of its input, or for an output that cannot be written, and complains of that
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

/**
 * The streams of this process, as one part.
 * @param file the archive at their end
 */
export function streaming(
  streams: readonly (NodeJS.ReadableStream | NodeJS.WritableStream)[],
  file: string,
): Part {
  const controller = new AbortController();
  const done = pipeline(streams, { signal: controller.signal }).catch((error: unknown) => {
    // They may have failed before they were stopped, for what a neighbour said of that very failure.
    throw isAbort(error)
      ? new BrokenOff('it was stopped', { cause: error })
      : describeStreamError(error, file);
  });
  const stop = (): void => {
    controller.abort();
  };
  return { done, stop };
}
