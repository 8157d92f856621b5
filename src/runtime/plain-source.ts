import { createReadStream } from 'node:fs';
import { addAbortSignal, PassThrough, Readable, type Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { AppError } from '../errors.ts';
import { decompressor, type Codec } from './compression.ts';
import type { ArchiveSource } from './plain-archiver.ts';
import { blockBytes, isHeader, isZero, notTar, readHeader } from './tar-header.ts';
import { unusable } from './tar-path.ts';

const chunkBytes = 1024 * 1024;

/** How files that are no plain tar begin, in hexadecimal. */
const magics: readonly { name: string; begin: RegExp; program?: string }[] = [
  { name: 'gzip', begin: /^1f8b/ },
  // Some programs put a frame in front that is to be skipped.
  { name: 'zstd', begin: /^(28b52ffd|5[0-9a-f]2a4d18)/ },
  { name: 'bzip2', begin: /^425a68/, program: 'bzip2' },
  { name: 'xz', begin: /^fd377a585a00/, program: 'xz' },
  { name: 'lz4', begin: /^04224d18/, program: 'lz4' },
  { name: 'lzip', begin: /^4c5a4950/, program: 'lzip' },
  { name: 'compress', begin: /^1f9d/, program: 'gzip' },
  { name: 'zip', begin: /^504b0304/ },
  { name: '7-Zip', begin: /^377abcaf/ },
];

/** The tar stream in a source, however it is compressed. */
export interface OpenedSource extends Codec {
  readonly readable: Readable;
}

/** @throws `invalid-settings` for another compression, `snapshot-corrupt` for nothing at all */
export async function openSource(
  { label, from }: ArchiveSource,
  zstd: string | undefined,
  signal: AbortSignal,
): Promise<OpenedSource> {
  const source =
    typeof from === 'string' ? createReadStream(from, { highWaterMark: chunkBytes }) : from;
  addAbortSignal(signal, source);
  const { head, readable } = await peek(source, blockBytes);
  try {
    if (head.length === 0) throw unusable('it is empty');
    return { readable, ...codecFor(head, label, zstd) };
  } catch (error) {
    source.destroy();
    throw error;
  }
}

function codecFor(head: Buffer, label: string, zstd: string | undefined): Codec {
  const magic = isHeader(head)
    ? undefined // a name may begin as anything
    : magics.find(({ begin }) => begin.test(head.toString('hex', 0, 8)));
  if (magic === undefined) {
    // At once, and not after a disk was filled with what comes. Without any entry, it begins with its end mark.
    if (head.length < blockBytes) throw notTar('it ends in the middle');
    if (!isZero(head)) readHeader(head);
    return { streams: [], finished: Promise.resolve() };
  }
  const { name, program } = magic;
  if (name === 'gzip') {
    return { streams: [createGunzip({ chunkSize: 256 * 1024 })], finished: Promise.resolve() };
  }
  if (name === 'zstd') return zstd === undefined ? ownZstd() : decompressor('zstd', zstd);
  throw new AppError('invalid-settings', `${label} is in the format of ${name}`, {
    hint:
      program === undefined
        ? 'It must be a tar archive, plain or compressed with gzip or zstd'
        : `Unpack it on the way: "${program} -dc FILE | snapvol import - --name NAME"`,
  });
}

/** Node's stops quietly where a frame ends within a chunk: what follows would be missing. */
function ownZstd(): Codec {
  let bytes = 0;
  const count: Duplex = new PassThrough({ highWaterMark: chunkBytes });
  count.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const zstd = createZstdDecompress();
  const whole = finished(zstd).then(() => {
    if (bytes === zstd.bytesWritten) return;
    throw new AppError(
      'copy-failed',
      'the archive has several zstd frames, or something after them',
      {
        hint: 'Put the program "zstd" on PATH: it reads them',
      },
    );
  });
  return { streams: [count, zstd], finished: whole };
}

/** The first bytes of a stream, and all of it. */
async function peek(
  source: Readable,
  wantedBytes: number,
): Promise<{ readonly head: Buffer; readonly readable: Readable }> {
  // A cast: nobody has set an encoding.
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let head = Buffer.alloc(0);
  let done = false;
  while (head.length < wantedBytes && !done) {
    const next = await chunks.next();
    if (next.done === true) done = true;
    else head = Buffer.concat([head, next.value]);
  }
  const rest: AsyncIterable<Buffer> = { [Symbol.asyncIterator]: () => chunks };
  async function* all(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    yield* rest;
  }
  return {
    head: head.subarray(0, wantedBytes),
    readable: Readable.from(all(), { objectMode: false, highWaterMark: chunkBytes }),
  };
}
