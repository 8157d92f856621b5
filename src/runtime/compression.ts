import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { Duplex, Transform, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { constants as zlib, createZstdCompress, createZstdDecompress } from 'node:zlib';

import { AppError, messageOf } from '../errors.ts';
import { BrokenOff } from './stream-errors.ts';
import type { Compression } from './volume-copier.ts';

const evenChunkBytes = 256 * 1024;

/** Streams that change bytes, to be piped in this order, and the promise that all went well. Await both. */
export interface Codec {
  readonly streams: readonly Duplex[];
  readonly finished: Promise<void>;
}

/**
 * The `zstd` program where `path` (a PATH) has one: it uses all cores. Node's own zstd otherwise, which must stay on one
 * thread: with `nbWorkers` its stream breaks (ERR_STREAM_PUSH_AFTER_EOF, seen in Node 24).
 */
export async function findZstd(path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    if (folder === '') continue;
    const program = join(folder, 'zstd');
    const executable = await access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return program;
  }
  return undefined;
}

/**
 * With how many cores a level keeps up with a disk. On one core 3 compresses 110 MB/s of text and 320 of a database's
 * pages, 2 does 160 and 490, 1 does 190 and 600: see docs/performance.md. What does not get smaller zstd stores as it
 * is, block by block, at 1 GB/s: it needs no switch.
 */
export function autoLevel(cores: number): number {
  return Math.min(cores, 3);
}

const levelOf = (level: number | 'auto', cores: number): number =>
  level === 'auto' ? autoLevel(cores) : level;

/** Arguments of the program: from its input to its output, on all cores. */
export const compressing = (level: number | 'auto'): string[] => [
  ...['-q', '-c', '-T0', `-${levelOf(level, availableParallelism())}`],
];
export const decompressing: readonly string[] = ['-q', '-d', '-c'];

export function compressor(compression: Compression, zstd: string | undefined): Codec {
  if (compression.kind === 'none') return inProcess();
  const { level } = compression;
  if (zstd !== undefined) return program(zstd, compressing(level), 'copy-failed');
  return inProcess(
    new EvenChunks(),
    createZstdCompress({
      params: { [zlib.ZSTD_c_compressionLevel]: levelOf(level, 1), [zlib.ZSTD_c_checksumFlag]: 1 },
    }),
  );
}

export function decompressor(compression: Compression['kind'], zstd: string | undefined): Codec {
  if (compression === 'none') return inProcess();
  if (zstd !== undefined) return program(zstd, decompressing, 'snapshot-corrupt');
  return inProcess(createZstdDecompress());
}

function inProcess(...streams: Duplex[]): Codec {
  return { streams, finished: Promise.resolve() };
}

/** The bytes of Node's compressor depend on how its input is cut. These pieces depend on nothing. */
class EvenChunks extends Transform {
  #parts: Buffer[] = [];
  #bytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    let at = 0;
    while (at < chunk.length) {
      const part = chunk.subarray(at, at + evenChunkBytes - this.#bytes);
      at += part.length;
      this.#parts.push(part);
      this.#bytes += part.length;
      if (this.#bytes === evenChunkBytes) this.#pushParts();
    }
    done();
  }

  override _flush(done: () => void): void {
    if (this.#bytes > 0) this.#pushParts();
    done();
  }

  #pushParts(): void {
    this.push(Buffer.concat(this.#parts));
    this.#parts = [];
    this.#bytes = 0;
  }
}

function program(
  zstd: string,
  args: readonly string[],
  failure: 'copy-failed' | 'snapshot-corrupt',
): Codec {
  // Ours has secrets, and variables of zstd would change what it does.
  const child = spawn(zstd, args, { stdio: ['pipe', 'pipe', 'pipe'], env: {} });
  const stream = new ProgramStream(child);
  const finished = programEnd(child, zstd, failure).catch((error: unknown) => {
    // Ended by us: the stream's own error is the one that counts.
    if (!(error instanceof BrokenOff && stream.givenUp)) throw error;
  });
  finished.catch((error: unknown) => {
    stream.destroy(error as Error);
  });
  return { streams: [stream], finished };
}

/**
 * Waits for the zstd program.
 * @param failure what it means when the program itself says that it failed
 * @throws BrokenOff when it was ended for a stream that broke off, by us or by the system
 */
export async function programEnd(
  child: ChildProcess,
  zstd: string,
  failure: 'copy-failed' | 'snapshot-corrupt',
): Promise<void> {
  const complaints = text(child.stderr as Readable); // a pipe, as are all that we start it with
  const [exitCode, signal] = (await once(child, 'close').catch((error: unknown) => {
    throw new AppError('copy-failed', `could not run ${zstd}: ${messageOf(error)}`, {
      cause: error,
    });
  })) as [number | null, NodeJS.Signals | null];
  if (exitCode === 0) return;
  if (signal === null) {
    const complaint = (await complaints).trim();
    throw new AppError(failure, `zstd failed (exit code ${exitCode ?? '?'}): ${complaint}`);
  }
  if (child.killed || signal === 'SIGPIPE') throw new BrokenOff(`zstd was ended by ${signal}`);
  throw new AppError('copy-failed', `zstd was ended by ${signal}`);
}

/**
 * A program's input and output as one stream. Whoever gives up on the stream gives up on the program: it is killed
 * before its pipes close, so that it cannot take our leaving for the end of its input, or complain of it.
 */
class ProgramStream extends Duplex {
  givenUp = false;
  /** A pipe broke: the program is leaving by itself, and will say why. */
  #leaving = false;
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(child: ChildProcessWithoutNullStreams) {
    super({ highWaterMark: 1024 * 1024 });
    this.#child = child;
    child.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    child.stdout.once('end', () => this.push(null));
    for (const pipe of [child.stdin, child.stdout]) {
      pipe.on('error', (error) => {
        this.#leaving = true;
        this.destroy(error);
      });
    }
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void) {
    this.#child.stdin.write(chunk, (error) => {
      this.#leaving ||= Boolean(error);
      done(error);
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.readableEnded && !this.#leaving) {
      this.givenUp = true;
      this.#child.kill('SIGKILL');
    }
    this.#child.stdin.destroy();
    this.#child.stdout.destroy();
    done(error);
  }
}
