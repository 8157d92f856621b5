import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { AppError, messageOf, systemCodeOf, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { BrokenOff, Meter, readArchive, settled, writeArchive } from './archive-file.ts';
import { compressor, type Codec } from './compression.ts';
import type {
  ArchiveOutput,
  ArchiveSource,
  PlainArchive,
  PlainArchiver,
  PlainFormat,
  Strip,
  TakenArchive,
} from './plain-archiver.ts';
import { createOutput } from './plain-output.ts';
import { openSource } from './plain-source.ts';
import { nameBytes, pathIn, pathOf, shownName } from './tar-path.ts';
import { plainTar } from './tar-plain.ts';
import { rootPath, TarRename } from './tar-rename.ts';
import { TarSurvey } from './tar-survey.ts';
import type { Compression, ExpectedArchive } from './volume-copier.ts';

const chunkBytes = 1024 * 1024;

export interface PlainArchiverOptions {
  readonly log: Log;
  /** The `zstd` program, where there is one. */
  readonly zstd: string | undefined;
}

export function createPlainArchiver({ log, zstd }: PlainArchiverOptions): PlainArchiver {
  const reporting =
    (label: string, totalBytes?: number) =>
    (bytes: number): void => {
      log.progress(totalBytes === undefined ? { label, bytes } : { label, bytes, totalBytes });
    };

  async function survey(source: ArchiveSource, signal: AbortSignal): Promise<string> {
    const found = new TarSurvey();
    const { readable, streams, ...codec } = await openSource(source, zstd, signal);
    await settled(
      { streams, ...codec },
      source.label,
      pipeline([readable, ...streams, found], { signal }),
    );
    return found.root;
  }

  async function take(
    source: ArchiveSource,
    strip: Strip,
    archiveFile: string,
    compression: Compression,
    signal: AbortSignal,
  ): Promise<TakenArchive> {
    const folder = strip.kind === 'auto' ? await survey(source, signal) : folderPath(strip.folder);
    const others = strip.kind === 'auto' ? [] : strip.others.map(folderPath);
    const renamed = new TarRename(renameFrom(folder, others), { foreign: true, makeRoot: true });
    const { readable, streams, ...codec } = await openSource(source, zstd, signal);
    const [read, wrote] = await Promise.allSettled([
      settled(
        { streams, ...codec },
        source.label,
        pipeline([readable, ...streams, renamed], { signal }),
      ),
      writeArchive(
        renamed,
        archiveFile,
        compression,
        zstd,
        signal,
        reporting(`importing ${source.label}`),
      ),
    ]);
    // A disk that is full is told by who writes, everything else by who reads.
    if (wrote.status === 'rejected' && !(wrote.reason instanceof BrokenOff)) throw wrote.reason;
    if (read.status === 'rejected') throw read.reason;
    if (wrote.status === 'rejected') throw wrote.reason;
    const { kept, leftOut, hasRoot, isRelative } = renamed;
    if (kept === 0) throw nothingIn(source.label, folder);
    const { archiveBytes, sha256, tarBytes, entries, features, notes } = wrote.value;
    const isText = folder !== '' && nameBytes(shownName(folder)) === folder;
    const isAbsolute = !isRelative || (strip.kind === 'folder' && strip.folder.startsWith('/'));
    return {
      ...{ archiveBytes, sha256, tarBytes, entries, features },
      folder: shownName(folder),
      absolutePath: isText && isAbsolute ? `/${shownName(folder)}` : undefined,
      taken: kept,
      leftOut,
      notes: [
        ...notes,
        ...(hasRoot
          ? []
          : [
              'the archive has no entry of the root folder: it is made with owner 0:0 and mode 755',
            ]),
      ],
    };
  }

  async function write(
    archiveFile: string,
    expected: ExpectedArchive,
    folder: string,
    format: PlainFormat,
    output: ArchiveOutput,
    signal: AbortSignal,
  ): Promise<PlainArchive> {
    const front = folderPath(folder) || rootPath;
    const renamed = new TarRename((path) => (path === '' ? front : `${front}/${path}`), {
      foreign: false,
      makeRoot: false,
    });
    const meter = new Meter({ highWaterMark: chunkBytes });
    const codec = codecOf(format, zstd);
    const onBytes = reporting(`exporting ${output.label}`, expected.tarBytes);
    const plain = Readable.from(plainTar(renamed), {
      objectMode: false,
      highWaterMark: chunkBytes,
    });
    const streams = [plain, ...codec.streams, meter, output.stream];
    const [read, wrote] = await Promise.allSettled([
      readArchive(archiveFile, expected, renamed, zstd, signal, onBytes),
      settled(codec, output.label, pipeline(streams, { signal, end: !output.isShared })),
    ]);
    // Wrong bytes are what has to be told, whoever stumbles over them; then what is wrong with the output.
    if (read.status === 'rejected' && isCorrupt(read.reason)) throw read.reason;
    if (wrote.status === 'rejected') throw wrote.reason;
    if (read.status === 'rejected') throw read.reason;
    return { sizeBytes: meter.bytes, sha256: meter.sha256() };
  }

  return {
    async open(file) {
      const found = await stat(file).catch((error: unknown) => {
        const isMissing = ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '');
        const problem = isMissing ? 'there is no such file' : messageOf(error);
        throw new AppError('invalid-settings', `cannot read ${file}: ${problem}`, { cause: error });
      });
      if (found.isDirectory()) throw new AppError('invalid-settings', `${file} is a folder`);
      // A FIFO, as of a shell's <(...), can be read once.
      return { label: file, from: found.isFile() ? file : createReadStream(file) };
    },

    keep: (source, file, signal) =>
      importing(source, signal, async () => {
        const { readable } = await openSource(source, zstd, signal);
        const target = createWriteStream(file, { flags: 'wx', mode: 0o600 });
        const none: Codec = { streams: [], finished: Promise.resolve() };
        await settled(none, file, pipeline([readable, target], { signal }));
        return { label: source.label, from: file };
      }),

    take: (source, ...rest) => importing(source, rest[3], () => take(source, ...rest)),

    create: createOutput,

    write: (...args) =>
      finishing(
        args[5],
        () => write(...args),
        (message) => `could not write ${args[4].label}: ${message}`,
      ),
  };
}

/** To `./...`, from what is in `folder` and in none of `others` that is further in. */
function renameFrom(folder: string, others: readonly string[]) {
  const folders = [folder, ...others].sort((a, b) => b.length - a.length);
  return (path: string): string | undefined => {
    if (folders.find((each) => pathIn(each, path) !== undefined) !== folder) return undefined;
    const rest = pathIn(folder, path);
    return rest === '' ? rootPath : `${rootPath}/${rest ?? ''}`;
  };
}

function folderPath(text: string): string {
  return pathOf(nameBytes(text));
}

function codecOf(format: PlainFormat, zstd: string | undefined): Codec {
  switch (format) {
    case 'tar':
      return compressor({ kind: 'none' }, zstd);
    case 'tar.gz':
      return { streams: [createGzip()], finished: Promise.resolve() };
    case 'tar.zst':
      return compressor({ kind: 'zstd', level: 3 }, zstd);
  }
}

/** Damage of a foreign archive is no damage of a snapshot. */
function importing<T>(
  { label }: ArchiveSource,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  return finishing(signal, work, (message) => `${label} cannot be imported: ${message}`, isCorrupt);
}

/** Every failure as an AppError; what only says that a stream broke, and what `isOurs`, in our words. */
async function finishing<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  describe: (message: string) => string,
  isOurs: (error: unknown) => boolean = () => false,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What is cut off fails in many ways; they all mean this.
    if (signal.aborted) throw new AppError('cancelled', 'cancelled', { cause: error });
    if (error instanceof BrokenOff || isOurs(error))
      throw new AppError('copy-failed', describe(messageOf(error)), { cause: error });
    throw toAppError(error);
  }
}

function nothingIn(label: string, folder: string): AppError {
  const what = folder === '' ? 'nothing' : `nothing in ${shownName(folder)}`;
  return new AppError('invalid-settings', `there is ${what} in ${label}`, {
    hint: '"tar --list" shows what is in an archive; --strip and --volume NAME=PREFIX say what to take of it',
  });
}

function isCorrupt(error: unknown): boolean {
  return error instanceof AppError && error.code === 'snapshot-corrupt';
}
