import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { AppError, messageOf, systemCodeOf } from './errors.ts';
import { isAlive, place } from './process-identity.ts';

/** Told apart by what makes them, so that those of killed processes are found. */
const scratchName = /^snapvol-scratch-(?<place>.+)-(?<pid>[1-9]\d*)-[A-Za-z0-9]{6}$/;

/** What to do about a disk of scratch files that is full. */
export const scratchIsFull =
  'Free some space, or point the scratch folder (TMPDIR, RUNNER_TEMP) to a larger disk';

/**
 * A new folder for one run. What killed ones have left there, copies of whole volumes perhaps, goes first.
 * @returns its absolute path: the engine is given it
 * @throws `invalid-settings`
 */
export async function createScratch(tempDir: string): Promise<string> {
  for (const name of await readdir(tempDir).catch(() => [])) {
    const maker = scratchName.exec(name)?.groups;
    if (maker?.['place'] !== place() || isAlive(Number(maker['pid']))) continue;
    // It may be another user's: then it is not ours to remove.
    await rm(join(tempDir, name), { recursive: true, force: true }).catch(() => undefined);
  }
  const prefix = resolve(tempDir, `snapvol-scratch-${place()}-${process.pid}-`);
  return inScratch(tempDir, () => mkdtemp(prefix));
}

/** Runs `work`, which writes below `dir`. @throws `system-error` when its disk is full, else `invalid-settings` */
export async function inScratch<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === undefined) throw error;
    const isFull = code === 'ENOSPC' || code === 'EDQUOT';
    throw new AppError(
      isFull ? 'system-error' : 'invalid-settings',
      `cannot write to ${dir}, the folder for scratch files: ${messageOf(error)}`,
      {
        cause: error,
        hint: isFull
          ? scratchIsFull
          : 'Point TMPDIR (for the action, RUNNER_TEMP) to a folder that is there and that you may write to',
      },
    );
  }
}
