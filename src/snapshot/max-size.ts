import { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Manifest } from './manifest.ts';

/** Where the user sets none. */
export const defaultMaxBytes = 100e9;

/** What its manifest says; one that says too little is found out while the archives are read. */
export function sizeProblem({ volumes }: Manifest, maxBytes: number): AppError | undefined {
  const bytes = volumes.reduce((sum, { tarBytes }) => sum + tarBytes, 0);
  return bytes > maxBytes ? tooLarge('the snapshot', maxBytes) : undefined;
}

/** @param what the subject of the message */
export function tooLarge(what: string, maxBytes: number): AppError {
  return new AppError(
    'snapshot-incompatible',
    `${what} unpacks to more than the ${formatBytes(maxBytes)} that "max-size" leaves for it, holes of files counted`,
    { hint: 'If you trust it and have the room, set "max-size" to more' },
  );
}
