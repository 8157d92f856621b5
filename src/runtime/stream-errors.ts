import { AppError, isAbort, messageOf, systemCodeOf, systemError, toAppError } from '../errors.ts';
import { scratchIsFull } from '../scratch.ts';

/** The other side of the stream gave up in the middle. Its own error, where there is one, tells more. */
export class BrokenOff extends Error {
  override readonly name = 'BrokenOff';
}

/** What a stream of the archive `file`, or a process beside it, has failed with. */
export function describeStreamError(error: unknown, file: string): Error {
  if (error instanceof BrokenOff) return error;
  const code = systemCodeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('copy-failed', `the disk is full while writing ${file}`, {
      cause: error,
      hint: scratchIsFull,
    });
  }
  // Node's own decompressors name their errors so; Z_BUF_ERROR is an end in the middle.
  if (code?.startsWith('ZSTD_') || code?.startsWith('Z_'))
    return damaged('it does not decompress', error);
  if (code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return new BrokenOff('the stream broke off in the middle', { cause: error });
  }
  if (error instanceof AppError || isAbort(error)) return toAppError(error);
  const hint = systemError(error)?.hint;
  return new AppError('copy-failed', `the copy with ${file} stopped: ${messageOf(error)}`, {
    cause: error,
    ...(hint !== undefined && { hint }),
  });
}

export function damaged(problem: string, cause?: unknown): AppError {
  return new AppError('snapshot-corrupt', `the archive is damaged: ${problem}`, { cause });
}

export function isCorrupt(error: unknown): boolean {
  return error instanceof AppError && error.code === 'snapshot-corrupt';
}
