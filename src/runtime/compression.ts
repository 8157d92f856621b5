import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Duplex, Transform } from 'node:stream';
import { constants as zlib, createZstdCompress, createZstdDecompress } from 'node:zlib';

import { AppError } from '../errors.ts';
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

export function compressor(compression: Compression, zstd: string | undefined): Codec {
  if (compression.kind === 'none') return inProcess();
  const { level } = compression;
  if (zstd !== undefined) return program(zstd, ['-q', '-c', '-T0', `-${level}`], 'copy-failed');
  return inProcess(
    new EvenChunks(),
    createZstdCompress({
      params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_checksumFlag]: 1 },
    }),
  );
}

export function decompressor(compression: Compression['kind'], zstd: string | undefined): Codec {
  if (compression === 'none') return inProcess();
  if (zstd !== undefined) return program(zstd, ['-q', '-d', '-c'], 'snapshot-corrupt');
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

/** @param failure what it means when the program itself says that it failed */
function program(
  zstd: string,
  args: readonly string[],
  failure: 'copy-failed' | 'snapshot-corrupt',
): Codec {
  // Ours has secrets, and variables of zstd would change what it does.
  const child = spawn(zstd, args, { stdio: ['pipe', 'pipe', 'pipe'], env: {} });
  const complaints: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  const stream = new ProgramStream(child);
  const finished = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => {
      reject(
        new AppError('copy-failed', `could not run ${zstd}: ${error.message}`, { cause: error }),
      );
    });
    child.once('close', (exitCode, signal) => {
      if (exitCode === 0 || (signal !== null && stream.givenUp)) {
        resolve(); // Ended by us: the stream's own error is the one that counts.
        return;
      }
      const complaint = Buffer.concat(complaints).toString('utf8').trim();
      reject(
        signal === null
          ? new AppError(failure, `zstd failed (exit code ${exitCode ?? '?'}): ${complaint}`)
          : new AppError('copy-failed', `zstd was ended by ${signal}`),
      );
    });
  });
  finished.catch((error: unknown) => {
    stream.destroy(error as Error);
  });
  return { streams: [stream], finished };
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
