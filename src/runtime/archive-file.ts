import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Transform, type Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { AppError, systemCodeOf, toAppError } from '../errors.ts';
import { compressor, decompressor, type Codec } from './compression.ts';
import { TarFilter, type TarSummary } from './tar-filter.ts';
import type { Compression, ExpectedArchive, WrittenArchive } from './volume-copier.ts';

const chunkBytes = 1024 * 1024;

/** Where a copy reports how far it is, in bytes of the tar stream. */
export type OnBytes = (tarBytes: number) => void;

/** Hashes and counts what passes. */
class Meter extends Transform {
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

/** Writes a tar stream to `file`, filtered and compressed. @throws `copy-failed`, `snapshot-corrupt`, `cancelled` */
export async function writeArchive(
  tar: Readable,
  file: string,
  compression: Compression,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<WrittenArchive & { readonly notes: readonly string[] }> {
  const filter = new TarFilter(onBytes);
  const meter = new Meter({ highWaterMark: chunkBytes });
  const codec = compressor(compression, zstd);
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600, highWaterMark: chunkBytes });
  await settled(codec, file, pipeline(tar, filter, codec.stream, meter, target, { signal }));
  const { tarBytes, entries, features, notes } = filter.summary;
  return { archiveBytes: meter.bytes, sha256: meter.sha256(), tarBytes, entries, features, notes };
}

/**
 * Sends the tar stream in `file` to `sink` and ends it, checking all the way that it is the expected one. What `sink`
 * got is right only when this resolves. @throws `snapshot-corrupt`, `copy-failed`, `cancelled`
 */
export async function readArchive(
  file: string,
  expected: ExpectedArchive,
  sink: Writable,
  zstd: string | undefined,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<TarSummary> {
  const { size } = await stat(file).catch((error: unknown) => {
    throw new AppError('snapshot-corrupt', `the archive ${file} is missing`, { cause: error });
  });
  if (size !== expected.archiveBytes) {
    throw new AppError(
      'snapshot-corrupt',
      `the archive has ${size} bytes, its manifest says ${expected.archiveBytes}`,
    );
  }
  const filter = new TarFilter((bytes) => {
    if (bytes > expected.tarBytes) {
      throw new AppError(
        'snapshot-corrupt',
        `the archive unpacks to more than the ${expected.tarBytes} bytes declared`,
      );
    }
    onBytes?.(bytes);
  });
  const meter = new Meter({ highWaterMark: chunkBytes });
  const codec = decompressor(expected.compression, zstd);
  const source = createReadStream(file, { highWaterMark: chunkBytes });
  await settled(codec, file, pipeline(source, meter, codec.stream, filter, sink, { signal }));

  const { summary } = filter;
  const { tarBytes, entries, droppedCount } = summary;
  const sha256 = meter.sha256();
  const problem =
    sha256 !== expected.sha256
      ? `sha256 is ${sha256}, its manifest says ${expected.sha256}`
      : tarBytes !== expected.tarBytes || entries !== expected.entries || droppedCount > 0
        ? `it unpacks to ${entries} entries and ${tarBytes} bytes, its manifest says ${expected.entries} and ${expected.tarBytes}`
        : undefined;
  if (problem !== undefined)
    throw new AppError('snapshot-corrupt', `the archive is damaged: ${problem}`);
  return summary;
}

/** Waits for the streams and the codec's process. The codec's own error tells more than the broken pipe it causes. */
async function settled(codec: Codec, file: string, streams: Promise<void>): Promise<void> {
  const [streaming, coding] = await Promise.allSettled([streams, codec.finished]);
  if (streaming.status === 'fulfilled' && coding.status === 'fulfilled') return;
  const errors = [streaming, coding].flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  throw errors.find((error) => error instanceof AppError) ?? describeStreamError(errors[0], file);
}

function describeStreamError(error: unknown, file: string): AppError {
  const code = systemCodeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AppError('copy-failed', `the disk is full while writing ${file}`, {
      cause: error,
      hint: 'Free some space, or point the scratch folder (TMPDIR, RUNNER_TEMP) to a larger disk',
    });
  }
  // Node's own decompressor names its errors so.
  if (code?.startsWith('ZSTD_')) {
    return new AppError('snapshot-corrupt', 'the archive is damaged: it does not decompress', {
      cause: error,
    });
  }
  const translated = toAppError(error);
  return translated.code === 'internal'
    ? new AppError('copy-failed', `copying stopped: ${translated.message}`, { cause: error })
    : translated;
}
