import { copyFile, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { AppError } from '../errors.ts';

/** The paths of a bundle's files. A bundle is flat; anything else in it is refused. */
export async function bundleFiles(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const odd = entries.find((entry) => !entry.isFile());
  if (odd !== undefined) {
    throw new AppError(
      'snapshot-corrupt',
      `${odd.name} is no file, so it cannot be part of a bundle`,
    );
  }
  return entries.map((entry) => join(dir, entry.name)).toSorted();
}

/** Moves a bundle into an empty folder, which is empty again if that fails. */
export async function moveBundle(fromDir: string, toDir: string): Promise<void> {
  try {
    for (const from of await bundleFiles(fromDir)) await move(from, join(toDir, basename(from)));
  } catch (error) {
    await empty(toDir);
    throw error;
  }
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch {
    // To another file system, most likely. If it cannot be copied either, that error tells why. The caller removes
    // the folder that it moved from.
    await copyFile(from, to);
  }
}

async function empty(dir: string): Promise<void> {
  for (const name of await readdir(dir)) await rm(join(dir, name), { recursive: true });
}
