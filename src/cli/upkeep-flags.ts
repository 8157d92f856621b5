import { AppError, messageOf } from '../errors.ts';
import {
  ageMs,
  countBetween,
  countOf,
  lines,
  parseSample,
  storageBytes,
} from '../setting-values.ts';
import { maxClones } from '../settings.ts';
import type { PruneRequest } from '../usecases/prune.ts';
import type { VerifyRequest } from '../usecases/verify.ts';
import type { Given } from './args.ts';

/** @throws `invalid-settings` naming the flag that cannot be read */
export function readPruneRequest({ argument, values }: Given): PruneRequest {
  return {
    names: lines(argument),
    rules: {
      keepLast: read(values, 'keep-last', countOf),
      keepWithinMs: read(values, 'keep-within', ageMs),
      maxBytes: read(values, 'max-size', storageBytes),
    },
    protect: read(values, 'protect', patterns) ?? [],
    dryRun: values['dry-run'] === 'true',
  };
}

/** One snapshot, or several. */
export type VerifyChoice =
  { readonly kind: 'one'; readonly key: string } | ({ readonly kind: 'several' } & VerifyRequest);

/** @throws `invalid-settings` naming the flag that cannot be read, or that makes no sense beside KEY */
export function readVerifyRequest({ argument: key, values }: Given): VerifyChoice {
  const { name } = values;
  const sample = read(values, 'sample', parseSample);
  if (key === '') return { kind: 'several', name, sample };
  if (name === undefined && sample === undefined) return { kind: 'one', key };
  const flag = name === undefined ? '--sample' : '--name';
  throw new AppError('invalid-settings', `${flag} is for several snapshots, and ${key} is given`, {
    hint: 'Leave out one of the two',
  });
}

/** How many clones. @throws `invalid-settings` */
export function readCount(values: Given['values']): number {
  return read(values, 'count', countBetween(1, maxClones)) ?? 1;
}

/** A variable of a shell that is not set must not mean "nothing". */
function patterns(value: string): string[] {
  const all = value.split('\n').map((line) => line.trim());
  if (all.includes('')) throw new Error('a name or pattern is empty');
  return all;
}

function read<T>(values: Given['values'], flag: string, parse: (text: string) => T): T | undefined {
  const text = values[flag];
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch (error) {
    throw new AppError('invalid-settings', `--${flag}: ${messageOf(error)}`, { cause: error });
  }
}
