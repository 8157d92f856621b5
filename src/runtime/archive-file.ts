import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { Transform, type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { AppError, messageOf } from '../errors.ts';
import { hashFile } from '../snapshot/bundle.ts';
import { compressor, decompressor, type Codec } from './compression.ts';
import { BrokenOff, damaged, describeStreamError, isCorrupt } from './stream-errors.ts';
import { TarFilter, type TarFilterOptions } from './tar-filter.ts';
import { TarGuard } from './tar-guard.ts';
import type { TarSummary } from './tar-sieve.ts';
import type { Compression, ExpectedArchive, SavedArchive } from './volume-copier.ts';

const chunkBytes = 1024 * 1024;

/** Where a copy reports how far it is, in bytes of the tar stream. */
export type OnBytes = (tarBytes: number) => void;

/** Hashes and counts what passes. */
export class Meter extends Transform {
  readonly #hash = createHash('sha256');
  bytes = 0;

  constructor() {
    super({ highWaterMark: chunkBytes });
  }

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
export interface ReadArchive {
  /** Header blocks of the root folder, see TarSieve. */
  readonly root: readonly Buffer[];
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
  const create = createArchive(file, async (target) => {
    const filter = new TarFilter({ onBytes, ...rules });
    const meter = new Meter();
    const codec = compressor(compression, zstd);
    await settled(
      codec,
      file,
      pipeline([tar, filter, ...codec.streams, meter, target], { signal }),
    );
    return savedAs(meter, filter.summary);
  });
  return create.catch((error: unknown) => {
    tar.destroy();
    throw error;
  });
}

/** Creates the file, which `work` fills. After a failure it is gone. What no part of snapvol has read cannot be corrupt. */
export async function createArchive<T>(
  file: string,
  work: (target: Writable) => Promise<T>,
): Promise<T> {
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => {
    throw describeStreamError(error, file);
  });
  const target = handle.createWriteStream({ highWaterMark: chunkBytes });
  try {
    return await work(target);
  } catch (error) {
    target.destroy();
    await rm(file, { force: true });
    // Nothing was stored yet that could be corrupt: it is the writer of this stream that failed.
    throw isCorrupt(error) ? new BrokenOff(messageOf(error), { cause: error }) : error;
  }
}

export function savedAs(
  meter: Meter,
  { tarBytes, entries, features, notes, contents }: TarSummary,
): Omit<SavedArchive, 'method'> {
  const archived = { archiveBytes: meter.bytes, sha256: meter.sha256() };
  return { ...archived, tarBytes, entries, features, notes, contents };
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
  const { entries, tarBytes } = expected;
  const read = openArchive(file, expected, signal, async (source) => {
    const guard = new TarGuard({ entries, tarBytes, unpackedBytes: maxBytes });
    const filter = new TarFilter({ guard, dropsNodes: false, onBytes });
    const meter = new Meter();
    const codec = decompressor(expected.compression, zstd);
    await settled(
      codec,
      file,
      pipeline([source, meter, ...codec.streams, filter, sink], { signal }),
    );
    const { summary, inputBytes } = filter;
    requireExpected(expected, meter, inputBytes, summary);
    return { root: filter.root, unpackedBytes: tarBytes + guard.holeBytes };
  });
  return read.catch((error: unknown) => {
    sink.destroy();
    throw error;
  });
}

/** Reads the file. @throws `snapshot-corrupt` where it is not the expected one, whatever `work` throws; what that throws */
export async function openArchive<T>(
  file: string,
  expected: ExpectedArchive,
  signal: AbortSignal,
  work: (source: Readable) => Promise<T>,
): Promise<T> {
  let source: Readable | undefined;
  try {
    const { size } = await stat(file).catch((error: unknown) => {
      throw damaged(`its file ${file} is missing`, error);
    });
    if (size !== expected.archiveBytes) throw misfit('bytes', size, expected.archiveBytes);
    source = createReadStream(file, { highWaterMark: chunkBytes });
    return await work(source);
  } catch (error) {
    source?.destroy();
    if (signal.aborted) throw error;
    // Wrong bytes can make any side stumble over them first, but they are what has to be told.
    const sha256 = await hashFile(file, signal).catch(() => expected.sha256);
    if (sha256 !== expected.sha256) throw misfit('sha256', sha256, expected.sha256);
    throw error;
  }
}

/** @throws `snapshot-corrupt` */
export function requireExpected(
  expected: ExpectedArchive,
  meter: Meter,
  inputBytes: number,
  summary: Pick<TarSummary, 'entries'>,
): void {
  const { tarBytes, entries } = expected;
  const sha256 = meter.sha256();
  if (sha256 !== expected.sha256) throw misfit('sha256', sha256, expected.sha256);
  if (inputBytes !== tarBytes) throw misfit('tar bytes', inputBytes, tarBytes);
  if (summary.entries !== entries) throw misfit('entries', summary.entries, entries);
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

function misfit(what: string, actual: string | number, expected: string | number): AppError {
  return damaged(`${what}: ${actual}, its manifest says ${expected}`);
}
