import { constants, createReadStream, createWriteStream } from 'node:fs';
import { copyFile, link, open, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

import { AppError, systemCodeOf } from '../errors.ts';
import { orElse } from './file-errors.ts';

const chunkBytes = 1024 * 1024;

/** Copies a file so that it outlives a power cut, and nobody writes to it by accident. `to` must not exist. */
export async function copyDurably(from: string, to: string, signal: AbortSignal): Promise<void> {
  const { size } = await stat(from);
  await copy(from, to, signal);
  await using file = await open(to, 'r+');
  const copied = await file.stat();
  if (copied.size !== size) {
    throw new AppError(
      'copy-failed',
      `${from} was changed while it was copied: of ${size} bytes, ${copied.size} have arrived`,
    );
  }
  await file.chmod(0o444);
  await file.sync();
}

/** Makes `to` the same file as `from` where the system allows it, else a copy. `from` must never change. */
export async function linkOrCopy(from: string, to: string, signal: AbortSignal): Promise<void> {
  try {
    await link(from, to);
  } catch {
    // Another file system (EXDEV), somebody else's file (EPERM, Linux' fs.protected_hardlinks), too many links, no
    // links at all: reasons differ by system, and where no copy can be made either, its error tells why.
    await copy(from, to, signal);
  }
}

/** A clone costs nothing where the file system has them. A plain copy goes in chunks, to be stopped at any time. */
async function copy(from: string, to: string, signal: AbortSignal): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
  } catch (error) {
    if (['ENOENT', 'EEXIST'].includes(systemCodeOf(error) ?? '')) throw error;
    const source = createReadStream(from, { highWaterMark: chunkBytes });
    const target = createWriteStream(to, { flags: 'wx', highWaterMark: chunkBytes });
    await pipeline(source, target, { signal });
  }
}

/** Sees to it that the names in `folder` outlive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  // Some network file systems have no way to do this for a folder, and say so.
  await orElse(handle.sync(), undefined, ['EINVAL', 'ENOTSUP']);
}
