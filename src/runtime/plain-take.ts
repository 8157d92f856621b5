import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

import { AppError } from '../errors.ts';
import { settled, writeArchive, type OnBytes } from './archive-file.ts';
import type { ArchiveSource, Strip, TakenArchive } from './plain-archiver.ts';
import { openSource } from './plain-source.ts';
import { BrokenOff } from './stream-errors.ts';
import { TarGuard } from './tar-guard.ts';
import { nameBytes, pathIn, pathOf, shownName } from './tar-path.ts';
import { rootPath, TarRename, type Rename } from './tar-rename.ts';
import { TarSurvey } from './tar-survey.ts';
import type { Compression } from './volume-copier.ts';

const madeUpRoot =
  'the archive has no entry of the root folder: it is made with owner 0:0 and mode 755';

/** See {@link PlainArchiver}. What is wrong with the source is `snapshot-corrupt` or BrokenOff here. */
export async function takeArchive(
  source: ArchiveSource,
  strip: Strip,
  archiveFile: string,
  compression: Compression,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<TakenArchive> {
  const isAuto = strip.kind === 'auto';
  const folder = isAuto ? await findRoot(source, zstd, signal) : folderPath(strip.folder);
  const others = isAuto ? [] : strip.others.map(folderPath);
  const renamed = new TarRename(renameFrom(folder, others), { foreign: true, makeRoot: true });
  // What could not be restored is not stored. How much it is, the restore says.
  const guard = new TarGuard({ entries: Infinity, tarBytes: Infinity, unpackedBytes: Infinity });
  try {
    const { readable, ...codec } = await openSource(source, zstd, signal);
    const reading = pipeline([readable, ...codec.streams, renamed], { signal });
    const [read, wrote] = await Promise.allSettled([
      settled(codec, source.label, reading),
      writeArchive(renamed, archiveFile, compression, zstd, signal, onBytes, { guard }),
    ]);
    // A disk that is full is told by who writes, everything else by who reads.
    if (wrote.status === 'rejected' && !(wrote.reason instanceof BrokenOff)) throw wrote.reason;
    if (read.status === 'rejected') throw read.reason;
    if (wrote.status === 'rejected') throw wrote.reason;
    const { kept, leftOut, hasRoot, isRelative } = renamed;
    if (kept === 0) throw nothingIn(source.label, folder);
    const { archiveBytes, sha256, tarBytes, entries, features, notes } = wrote.value;
    const isText = folder !== '' && nameBytes(shownName(folder)) === folder;
    const isAbsolute = !isRelative || (!isAuto && strip.folder.startsWith('/'));
    return {
      ...{ archiveBytes, sha256, tarBytes, entries, features },
      folder: shownName(folder),
      absolutePath: isText && isAbsolute ? `/${shownName(folder)}` : undefined,
      taken: kept,
      leftOut,
      notes: hasRoot ? notes : [...notes, madeUpRoot],
    };
  } catch (error) {
    await rm(archiveFile, { force: true });
    throw error;
  }
}

async function findRoot(
  source: ArchiveSource,
  zstd: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const survey = new TarSurvey();
  const { readable, ...codec } = await openSource(source, zstd, signal);
  const reading = pipeline([readable, ...codec.streams, survey], { signal });
  await settled(codec, source.label, reading);
  return survey.root;
}

/** To `./...`, from what is in `folder` and in none of `others` that is further in. */
function renameFrom(folder: string, others: readonly string[]): Rename {
  const folders = [folder, ...others].sort((a, b) => b.length - a.length);
  return (path) => {
    if (folders.find((each) => pathIn(each, path) !== undefined) !== folder) return undefined;
    const rest = pathIn(folder, path) ?? '';
    return rest === '' ? rootPath : `${rootPath}/${rest}`;
  };
}

/** A folder as people write it, in bytes. */
export function folderPath(text: string): string {
  return pathOf(nameBytes(text));
}

function nothingIn(label: string, folder: string): AppError {
  const what = folder === '' ? 'nothing' : `nothing in ${shownName(folder)}`;
  return new AppError('invalid-settings', `there is ${what} in ${label}`, {
    hint: '"tar --list" shows what is in an archive; --strip and --volume NAME=PREFIX say what to take of it',
  });
}
