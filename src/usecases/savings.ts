import type { PathStep } from './critical-path.ts';

/** What a restored snapshot has spared, against the seeding that it was made by. */
export interface Savings {
  /** From an empty volume to the end of the seed, when the snapshot was made. */
  readonly seedingSeconds: number;
  /** Negative where the restore has taken longer. */
  readonly savedSeconds: number;
}

/** `undefined` for a snapshot that does not say what its seeding took. */
export function savingsOf(
  {
    initSeconds,
    seedSeconds,
  }: { readonly initSeconds: number | null; readonly seedSeconds: number | null },
  path: readonly PathStep[],
): Savings | undefined {
  if (initSeconds === null || seedSeconds === null) return undefined;
  // Who seeds needs the image, and runs the check, as well.
  const spentSeconds = path
    .filter(({ name }) => name !== 'image' && name !== 'check')
    .reduce((sum, { seconds }) => sum + seconds, 0);
  const seedingSeconds = initSeconds + seedSeconds;
  return {
    seedingSeconds: toMilliseconds(seedingSeconds),
    savedSeconds: toMilliseconds(seedingSeconds - spentSeconds),
  };
}

/** `13.0 s less than seeding (15.0 s)`, `0.4 s slower than seeding (1.2 s)` */
export function describeSavings({ seedingSeconds, savedSeconds }: Savings): string {
  const how = savedSeconds < 0 ? 'slower' : 'less';
  return `${Math.abs(savedSeconds).toFixed(1)} s ${how} than seeding (${seedingSeconds.toFixed(1)} s)`;
}

function toMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
