import { AppError, systemCodeOf, systemError, toAppError } from '../errors.ts';

const noSpace = 'Free some space there, or remove snapshots that are no longer needed';

/**
 * Runs `work`, with what the system says against it as `store-unavailable`, and `cancelled` once `signal` fired.
 * `task` says what was tried, for the message; `ifFull` what to do when the disk is full.
 */
export async function translated<T>(
  task: string,
  signal: AbortSignal,
  work: () => Promise<T>,
  ifFull = noSpace,
): Promise<T> {
  try {
    signal.throwIfAborted();
    return await work();
  } catch (error) {
    // What fails after an abort fails because of it. The reason may be anything, so it is not looked at.
    if (signal.aborted) throw new AppError('cancelled', `cancelled: ${task}`, { cause: error });
    const refused = error instanceof AppError ? undefined : systemError(error, task);
    if (refused === undefined) throw toAppError(error);
    const isFull = ['ENOSPC', 'EDQUOT'].includes(systemCodeOf(error) ?? '');
    const hint = isFull ? ifFull : refused.hint;
    throw new AppError('store-unavailable', refused.message, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }
}

/** What `work` gives, or `value` where it fails with one of these codes of the system. */
export async function orElse<T, V>(
  work: Promise<T>,
  value: V,
  codes: readonly string[],
): Promise<T | V> {
  try {
    return await work;
  } catch (error) {
    if (codes.includes(systemCodeOf(error) ?? '')) return value;
    throw error;
  }
}
