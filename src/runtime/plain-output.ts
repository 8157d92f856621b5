import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { AppError, messageOf, systemCodeOf } from '../errors.ts';
import type { ArchiveOutput, OutputTarget } from './plain-archiver.ts';

const chunkBytes = 1024 * 1024;

/**
 * A file is written under another name beside, and gets its own when it is finished: whoever finds it there finds all
 * of it, after a crash too.
 */
export async function createOutput(target: OutputTarget): Promise<ArchiveOutput> {
  if (target.kind === 'stream') {
    return {
      label: 'the standard output',
      stream: target.stream,
      isShared: true,
      finish: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const { file, replace } = target;
  return translated(file, async () => {
    const path = await pathFor(file, replace);
    const temporary = join(dirname(path), `.snapvol-export-${randomBytes(8).toString('hex')}`);
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL);
    // "flush": it is on the disk before it is closed, and so before it gets its name.
    const stream = handle.createWriteStream({ highWaterMark: chunkBytes, flush: true });
    stream.on('error', () => undefined); // whoever writes to it hears of it
    return {
      label: file,
      stream,
      isShared: false,
      finish: () =>
        translated(file, async () => {
          if (replace) await rename(temporary, path);
          else await giveName(temporary, path);
        }),
      async [Symbol.asyncDispose]() {
        stream.destroy();
        await handle.close();
        await rm(temporary, { force: true });
      },
    };
  });
}

/** The file itself where a link leads to it. Nothing but a regular file is ever replaced. */
async function pathFor(file: string, replace: boolean): Promise<string> {
  const found = await stat(file).catch((error: unknown) => {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return file;
  if (!found.isFile()) throw new AppError('invalid-settings', `${file} is no regular file`);
  if (!replace) throw taken(file);
  return realpath(file);
}

/** As a rename, but one that replaces nothing. */
async function giveName(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'EEXIST') throw taken(path);
    // Not every file system has links.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error;
    await pathFor(path, false);
    await rename(temporary, path);
  }
}

function taken(file: string): AppError {
  return new AppError('name-taken', `${file} exists already`, {
    hint: 'It is left as it is. Name another file, or replace it with --force',
  });
}

async function translated<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError) throw error;
    const isMissing = ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '');
    throw new AppError(
      isMissing ? 'invalid-settings' : 'copy-failed',
      `cannot write ${file}: ${isMissing ? 'there is no such folder' : messageOf(error)}`,
      { cause: error },
    );
  }
}
