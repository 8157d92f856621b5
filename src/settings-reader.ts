import { AppError, messageOf } from './errors.ts';

export type Reader = ReturnType<typeof readerOf>;

/** Reads inputs one by one; what is wrong with them is noted in `problems`. */
export function readerOf(raw: Readonly<Partial<Record<string, string>>>) {
  const problems: string[] = [];

  /** The parsed input, or `fallback` when it is not given or cannot be read (the problem is noted). */
  function read<T, F>(name: string, parse: (text: string) => T, fallback: F): T | F {
    const text = raw[name]?.trim() ?? '';
    if (text === '') return fallback;
    return attempt(
      () => parse(text),
      fallback,
      (problem) => `${name}: ${problem}`,
    );
  }
  function attempt<T, F>(work: () => T, fallback: F, describe: (problem: string) => string): T | F {
    try {
      return work();
    } catch (error) {
      const hint = error instanceof AppError && error.hint !== undefined ? `. ${error.hint}` : '';
      problems.push(describe(messageOf(error) + hint));
      return fallback;
    }
  }
  return { problems, read, attempt };
}

export function invalidSettings(problems: readonly string[]): AppError {
  return new AppError(
    'invalid-settings',
    problems.length === 1
      ? (problems[0] ?? '')
      : `${problems.length} settings are wrong: ${problems.join('; ')}`,
    { details: problems },
  );
}
