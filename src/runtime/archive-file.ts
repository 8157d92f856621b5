import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { Transform, type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { AppError, messageOf, systemCodeOf, toAppError } from '../errors.ts';
import { hashFile } from '../snapshot/bundle.ts';
import { compressor, decompressor, type Codec } from './compression.ts';
import { TarFilter, type TarFilterOptions, type TarSummary } from './tar-filter.ts';
import { TarGuard } from './tar-guard.ts';
import type { Compression, ExpectedArchive, SavedArchive } from './volume-copier.ts';

const chunkBytes = 1024 * 1024;

/** Where a copy reports how far it is, in bytes of the tar stream. */
export type OnBytes = (tarBytes: number) => void;

/** The other side of the stream gave up in the middle. Its own error, where there is one, tells more. */
export class BrokenOff extends Error {
  override readonly name = 'BrokenOff';
}

/** Hashes and counts what passes. */
export class Meter extends Transform {
  readonly #hash = createHash('sha256');
  bytes = 0;

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: null, chunk: Buffer) => void,
  ): void {
    this.#hash.update(chunk);
    this.bytes += chunk.length;
    done(null, chunk);
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }
}

/** What a whole archive has turned out to be. */
export interface ReadArchive extends Pick<TarSummary, 'root'> {
  /** Of the tar stream, with all holes of files written out. */
  readonly unpackedBytes: number;
}

/**
 * Writes a tar stream to the new file `file`, filtered and compressed. After a failure the file is gone.
 * @param rules `guard` for a stream from outside
 * @throws BrokenOff, `copy-failed`, `cancelled`
 */
export async function writeArchive(
  tar: Readable,
  file: string,
  compression: Compression,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes?: OnBytes,
  rules: Pick<TarFilterOptions, 'guard' | 'leaveOut'> = {},
): Promise<Omit<SavedArchive, 'method'>> {
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => {
    tar.destroy();
    throw describeStreamError(error, file);
  });
  try {
    const target = handle.createWriteStream({ highWaterMark: chunkBytes });
    const filter = new TarFilter({ onBytes, ...rules });
    const meter = new Meter({ highWaterMark: chunkBytes });
    const codec = compressor(compression, zstd);
    await settled(
      codec,
      file,
      pipeline([tar, filter, ...codec.streams, meter, target], { signal }),
    );
    const { tarBytes, entries, features, notes, contents } = filter.summary;
    const sha256 = meter.sha256();
    return { archiveBytes: meter.bytes, sha256, tarBytes, entries, features, notes, contents };
  } catch (error) {
    await rm(file, { force: true });
    // Nothing was stored yet that could be corrupt: it is the writer of this stream that failed.
    throw isCorrupt(error) ? new BrokenOff(messageOf(error), { cause: error }) : error;
  }
}

/**
 * Sends the tar stream in `file` to `sink` and ends it, checking all the way that it is the expected one, and that it
 * is safe to unpack (see {@link TarGuard}). What `sink` got is right only when this resolves.
 * @param maxBytes of the tar stream, with all holes of files written out
 * @throws BrokenOff, `snapshot-corrupt`, `snapshot-incompatible` for more than `maxBytes`, `copy-failed`, `cancelled`
 */
export async function readArchive(
  file: string,
  expected: ExpectedArchive,
  maxBytes: number,
  sink: Writable,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<ReadArchive> {
  try {
    const { size } = await stat(file).catch((error: unknown) => {
      throw damaged(`its file ${file} is missing`, error);
    });
    if (size !== expected.archiveBytes) throw misfit('bytes', size, expected.archiveBytes);
    return await readChecked(file, expected, maxBytes, sink, zstd, signal, onBytes);
  } catch (error) {
    sink.destroy();
    if (signal.aborted) throw error;
    // Wrong bytes can make any side stumble over them first, but they are what has to be told.
    const sha256 = await hashFile(file, signal).catch(() => expected.sha256);
    if (sha256 !== expected.sha256) throw misfit('sha256', sha256, expected.sha256);
    throw error;
  }
}

async function readChecked(
  file: string,
  expected: ExpectedArchive,
  maxBytes: number,
  sink: Writable,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<ReadArchive> {
  const { entries, tarBytes } = expected;
  const guard = new TarGuard({ entries, tarBytes, unpackedBytes: maxBytes });
  const filter = new TarFilter({
    guard,
    leavesOut: false,
    onBytes(bytes) {
      // Not only at the end: a small archive can unpack to more than any disk holds.
      if (bytes > tarBytes) throw damaged(`it unpacks to more than its manifest says`);
      onBytes?.(bytes);
    },
  });
  const meter = new Meter({ highWaterMark: chunkBytes });
  const source = createReadStream(file, { highWaterMark: chunkBytes });
  const codec = decompressor(expected.compression, zstd);
  await settled(codec, file, pipeline([source, meter, ...codec.streams, filter, sink], { signal }));

  const { summary } = filter;
  const sha256 = meter.sha256();
  if (sha256 !== expected.sha256) throw misfit('sha256', sha256, expected.sha256);
  if (filter.inputBytes !== tarBytes) throw misfit('tar bytes', filter.inputBytes, tarBytes);
  if (summary.entries !== entries) throw misfit('entries', summary.entries, entries);
  return { root: summary.root, unpackedBytes: tarBytes + guard.holeBytes };
}

/** Waits for the streams and the codec's process. The codec's own error tells more than the broken pipe it causes. */
export async function settled(codec: Codec, file: string, streams: Promise<void>): Promise<void> {
  const [streaming, coding] = await Promise.allSettled([streams, codec.finished]);
  const errors = [streaming, coding].flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  if (errors.length === 0) return;
  throw errors.find((error) => error instanceof AppError) ?? describeStreamError(errors[0], file);
}

function describeStreamError(error: unknown, file: string): Error {
  const code = systemCodeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('copy-failed', `the disk is full while writing ${file}`, {
      cause: error,
      hint: 'Free some space, or point the scratch folder (TMPDIR, RUNNER_TEMP) to a larger disk',
    });
  }
  // Node's own decompressors name their errors so; Z_BUF_ERROR is an end in the middle.
  if (code?.startsWith('ZSTD_') || code?.startsWith('Z_'))
    return damaged('it does not decompress', error);
  if (code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return new BrokenOff('the stream broke off in the middle', { cause: error });
  }
  const translated = toAppError(error);
  return translated.code === 'internal'
    ? new AppError('copy-failed', `copying stopped: ${translated.message}`, { cause: error })
    : translated;
}

function damaged(problem: string, cause?: unknown): AppError {
  return new AppError('snapshot-corrupt', `the archive is damaged: ${problem}`, { cause });
}

function misfit(what: string, actual: string | number, expected: string | number): AppError {
  return damaged(`${what}: ${actual}, its manifest says ${expected}`);
}

function isCorrupt(error: unknown): boolean {
  return error instanceof AppError && error.code === 'snapshot-corrupt';
}
