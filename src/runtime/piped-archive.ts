import { join } from 'node:path';

import {
  createArchive,
  Meter,
  openArchive,
  requireExpected,
  savedAs,
  type OnBytes,
} from './archive-file.ts';
import { openPipe, type FifoEnd } from './fifo.ts';
import { streaming, together } from './parts.ts';
import { compressedFrom, decompressedTo } from './piped-codec.ts';
import { startTarSieve } from './tar-sieve-process.ts';
import type { Compression, CopyTarget, ExpectedArchive, SavedArchive } from './volume-copier.ts';

// Archives of tar streams that are in pipes: a process looks at them, zstd is another one, and this process sees the
// compressed bytes only. What is said of writeArchive and readArchive holds here, too.

export interface PipedOptions {
  /** A folder of ours that nobody else sees. */
  readonly scratchDir: string;
  readonly zstd: string | undefined;
}

/** Writes the tar stream that comes out of `tar` to the new file `file`. */
export async function writePipedArchive(
  { scratchDir, zstd }: PipedOptions,
  tar: FifoEnd,
  { leaveOut = [] }: Pick<CopyTarget, 'leaveOut'>,
  file: string,
  compression: Compression,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<Omit<SavedArchive, 'method'>> {
  return createArchive(file, async (target) => {
    const pipe = await openPipe(join(scratchDir, 'sifted'));
    const codec = compressedFrom(pipe.read, compression, zstd);
    const sieve = startTarSieve(tar.take(), pipe.write, { dropsNodes: true, leaveOut }, onBytes);
    const meter = new Meter();
    const streams = streaming([...codec.streams, meter, target], file);
    await together([streams, sieve, ...codec.parts], signal);
    const { summary } = await sieve.done;
    return savedAs(meter, summary);
  });
}

/**
 * Sends the tar stream in `file` into `tar`.
 * @returns how much it is with all holes of files written out
 */
export async function readPipedArchive(
  { scratchDir, zstd }: PipedOptions,
  file: string,
  expected: ExpectedArchive,
  maxBytes: number,
  tar: FifoEnd,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<number> {
  const { entries, tarBytes, compression } = expected;
  return openArchive(file, expected, signal, async (source) => {
    const pipe = await openPipe(join(scratchDir, 'unpacked'));
    const codec = decompressedTo(pipe.write, compression, zstd);
    // JSON, as which it is handed over, has no infinity.
    const unpackedBytes = Math.min(maxBytes, Number.MAX_SAFE_INTEGER);
    const limits = { entries, tarBytes, unpackedBytes };
    const sieve = startTarSieve(pipe.read, tar.take(), { limits, dropsNodes: false }, onBytes);
    const meter = new Meter();
    const streams = streaming([source, meter, ...codec.streams], file);
    await together([streams, ...codec.parts, sieve], signal);
    const { summary, inputBytes, holeBytes } = await sieve.done;
    requireExpected(expected, meter, inputBytes, summary);
    return tarBytes + holeBytes;
  });
}
