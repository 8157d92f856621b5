import { explain, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';

/**
 * Does `work`, and then `after`, whatever happened. When both fail, the error of the one that `prevails` is thrown; the
 * other one is a warning.
 */
export async function withAftermath<T>(
  log: Log,
  work: () => Promise<T>,
  after: () => Promise<void>,
  prevails: 'work' | 'after' = 'work',
): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await after().catch((second: unknown) => {
      log.warn(explain(toAppError(prevails === 'work' ? second : error)));
      if (prevails === 'after') throw second;
    });
    throw error;
  }
  await after();
  return result;
}
