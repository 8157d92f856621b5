import { lstat, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { systemCodeOf } from '../errors.ts';
import { orElse } from './file-errors.ts';
import { isSnapshot } from './file-folder.ts';
import { discard, stagingPath, type Swap } from './file-staging.ts';

/** `false` when there is a snapshot already: the system renames no folder onto one with something in it. */
export async function publish(staging: string, folder: string): Promise<boolean> {
  for (;;) {
    try {
      await rename(staging, folder);
      return true;
    } catch (error) {
      if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) throw error;
      if (await isSnapshot(folder)) return false;
      // Removed again in this moment: the way is free. Anything else in the way is not ours to move.
      if ((await orElse(lstat(folder), undefined, ['ENOENT'])) !== undefined) throw error;
    }
  }
}

/**
 * Puts the swap's fresh snapshot where `folder` is, which takes two renames: there is no other way to exchange folders
 * from here. Killed between them, the old one is aside, to be put back by `settle`. `settle` must follow in any case.
 */
export async function publishOver({ freshDir, asideDir }: Swap, folder: string): Promise<void> {
  const aside = join(asideDir, basename(folder));
  for (;;) {
    if (await isSnapshot(folder)) {
      // Gone in this moment: somebody else removes or replaces it as well.
      await orElse(rename(folder, aside), undefined, ['ENOENT']);
    }
    if (await publish(freshDir, folder)) return;
    // Somebody else was quicker, and what they put there is newer than what is aside.
    const doomed = stagingPath(dirname(folder));
    await orElse(rename(aside, doomed), undefined, ['ENOENT']);
    await discard(doomed);
  }
}
