import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { AppError, messageOf, systemCodeOf, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { Meter, readArchive, settled, type OnBytes } from './archive-file.ts';
import { compressor, type Codec } from './compression.ts';
import type {
  ArchiveOutput,
  ArchiveSource,
  PlainArchive,
  PlainArchiver,
  PlainFormat,
} from './plain-archiver.ts';
import { createOutput } from './plain-output.ts';
import { openSource } from './plain-source.ts';
import { BrokenOff, isCorrupt } from './stream-errors.ts';
import { folderPath, takeArchive } from './plain-take.ts';
import { plainTar } from './tar-plain.ts';
import { rootPath, TarRename } from './tar-rename.ts';
import type { ExpectedArchive } from './volume-copier.ts';

const chunkBytes = 1024 * 1024;

export interface PlainArchiverOptions {
  readonly log: Log;
  /** The `zstd` program, where there is one. */
  readonly zstd: string | undefined;
}

export function createPlainArchiver({ log, zstd }: PlainArchiverOptions): PlainArchiver {
  return {
    open: openFile,

    keep: (source, file, signal) =>
      importing(source, signal, async () => {
        const { readable } = await openSource(source, zstd, signal);
        const target = createWriteStream(file, { flags: 'wx', mode: 0o600 });
        await settled(asItIs, file, pipeline([readable, target], { signal }));
        return { label: source.label, from: file };
      }),

    take(source, strip, archiveFile, compression, signal) {
      const onBytes: OnBytes = (bytes) => {
        log.progress({ label: `importing ${source.label}`, bytes });
      };
      return importing(source, signal, () =>
        takeArchive(source, strip, archiveFile, compression, zstd, signal, onBytes),
      );
    },

    create: createOutput,

    write(archiveFile, expected, folder, format, output, signal) {
      const { label } = output;
      const { tarBytes: totalBytes } = expected;
      const onBytes: OnBytes = (bytes) => {
        log.progress({ label: `exporting ${label}`, bytes, totalBytes });
      };
      return translated(
        signal,
        () => writePlain(archiveFile, expected, folder, format, output, zstd, signal, onBytes),
        (error) => error instanceof BrokenOff,
        (message) => `could not write ${label}: ${message}`,
      );
    },
  };
}

async function openFile(file: string): Promise<ArchiveSource> {
  const found = await stat(file).catch((error: unknown) => {
    const isMissing = ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '');
    const problem = isMissing ? 'there is no such file' : messageOf(error);
    throw new AppError('invalid-settings', `cannot read ${file}: ${problem}`, { cause: error });
  });
  if (found.isDirectory()) throw new AppError('invalid-settings', `${file} is a folder`);
  // A FIFO, as of a shell's <(...), can be read once.
  return { label: file, from: found.isFile() ? file : createReadStream(file) };
}

async function writePlain(
  archiveFile: string,
  expected: ExpectedArchive,
  folder: string,
  format: PlainFormat,
  output: ArchiveOutput,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<PlainArchive> {
  const front = folderPath(folder) || rootPath;
  const renamed = new TarRename((path) => (path === '' ? front : `${front}/${path}`), {
    foreign: false,
    makeRoot: false,
  });
  const plain = Readable.from(plainTar(renamed), { objectMode: false, highWaterMark: chunkBytes });
  const codec = codecOf(format, zstd);
  const meter = new Meter();
  const streams = [plain, ...codec.streams, meter, output.stream];
  const [read, wrote] = await Promise.allSettled([
    readArchive(archiveFile, expected, Infinity, renamed, zstd, signal, onBytes),
    settled(codec, output.label, pipeline(streams, { signal, end: !output.isShared })),
  ]);
  // Wrong bytes are what has to be told, whoever stumbles over them; then what is wrong with the output.
  if (read.status === 'rejected' && isCorrupt(read.reason)) throw read.reason;
  if (wrote.status === 'rejected') throw wrote.reason;
  if (read.status === 'rejected') throw read.reason;
  return { sizeBytes: meter.bytes, sha256: meter.sha256() };
}

const asItIs: Codec = { streams: [], finished: Promise.resolve() };

function codecOf(format: PlainFormat, zstd: string | undefined): Codec {
  switch (format) {
    case 'tar':
      return asItIs;
    case 'tar.gz':
      return { ...asItIs, streams: [createGzip()] };
    case 'tar.zst':
      return compressor({ kind: 'zstd', level: 'auto' }, zstd);
  }
}

/** Damage of a foreign archive is no damage of a snapshot. */
function importing<T>(
  { label }: ArchiveSource,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  return translated(
    signal,
    work,
    (error) => error instanceof BrokenOff || isCorrupt(error),
    (message) => `${label} cannot be imported: ${message}`,
  );
}

/** Every failure as an AppError; `copy-failed`, with `describe`, where it `isMeant`. */
async function translated<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  isMeant: (error: unknown) => boolean,
  describe: (message: string) => string,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What is cut off fails in many ways; they all mean this.
    if (signal.aborted) throw new AppError('cancelled', 'cancelled', { cause: error });
    if (!isMeant(error)) throw toAppError(error);
    throw new AppError('copy-failed', describe(messageOf(error)), { cause: error });
  }
}
