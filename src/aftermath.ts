import { AppError, explain, toAppError } from './errors.ts';
import type { Log } from './log.ts';

/**
 * Does `work`, and then `after`, whatever happened. When both fail, the error of the one that `prevails` is thrown: as a
 * rule the first one, which tells more. The other one is a warning, where there is a log.
 */
export async function withAftermath<T>(
  log: Pick<Log, 'warn' | 'info'> | undefined,
  work: () => Promise<T>,
  after: () => Promise<void>,
  prevails: 'work' | 'after' = 'work',
): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await after().catch((second: unknown) => {
      if (log) warnOf(log, prevails === 'work' ? second : error);
      if (prevails === 'after') throw second;
    });
    throw error;
  }
  await after();
  return result;
}

/** As {@link withAftermath}, for what is only needed after a failure. */
export async function orUndo(work: () => Promise<void>, undo: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await undo().catch(() => undefined); // what failed first tells more
    throw error;
  }
}

/** As {@link withAftermath}, with a resource that is disposed of afterwards. */
export function withResource<R extends AsyncDisposable, T>(
  resource: R,
  work: (resource: R) => Promise<T>,
): Promise<T> {
  return withAftermath(
    undefined,
    () => work(resource),
    async () => resource[Symbol.asyncDispose](),
  );
}

/** An error that decides nothing, with all that it tells. */
export function warnOf(log: Pick<Log, 'warn' | 'info'>, thrown: unknown, before = ''): void {
  const error = toAppError(thrown);
  log.warn(`${before}${explain(error)}`);
  for (const line of error.details) log.info(line);
}

/** A clean-up in steps. Each is tried on its own: one that fails stops none of the others. */
export class CleanUp {
  readonly #failed: { readonly what: string; readonly error: AppError }[] = [];
  readonly #untried: string[] = [];

  /** Whether every step so far is done. */
  get isWhole(): boolean {
    return this.#failed.length === 0;
  }

  /**
   * What the step gives; `undefined` where it fails. Once no container engine answers, no step is tried any more: each
   * would wait for it.
   * @param what the step is about ("the volume x"), for the error
   */
  async attempt<T>(what: string, step: () => Promise<T>): Promise<T | undefined> {
    if (this.#failed.some(({ error }) => error.code === 'docker-unreachable')) {
      this.#untried.push(`${what}: not tried`);
      return undefined;
    }
    try {
      return await step();
    } catch (thrown) {
      this.#failed.push({ what, error: toAppError(thrown) });
      return undefined;
    }
  }

  /** @throws what failed: one error, with the first one's code and hint, and all of them in its details */
  end(): void {
    const [first, ...others] = this.#failed;
    if (first === undefined) return;
    const { code, message, hint, details } = first.error;
    if (others.length === 0 && this.#untried.length === 0 && code !== 'docker-unreachable')
      throw first.error;
    throw new AppError(code, `not everything was cleaned up: ${message}`, {
      cause: first.error,
      ...(hint !== undefined && { hint }),
      details: [
        ...this.#failed.map(({ what, error }) => `${what}: ${error.message}`),
        ...this.#untried,
        ...details,
      ],
    });
  }
}
