import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Duplex, PassThrough } from 'node:stream';
import { constants as zlib, createZstdCompress, createZstdDecompress } from 'node:zlib';

import { AppError, systemCodeOf } from '../errors.ts';
import type { Compression } from './volume-copier.ts';

/** A stream that changes bytes, and the promise that it did so without an error. Await both. */
export interface Codec {
  readonly stream: Duplex;
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
  if (compression.kind === 'none') return inProcess(new PassThrough());
  if (zstd !== undefined)
    return program(zstd, ['-q', '-c', '-T0', `-${compression.level}`], 'internal');
  return inProcess(
    createZstdCompress({
      params: { [zlib.ZSTD_c_compressionLevel]: compression.level, [zlib.ZSTD_c_checksumFlag]: 1 },
    }),
  );
}

export function decompressor(compression: Compression['kind'], zstd: string | undefined): Codec {
  if (compression === 'none') return inProcess(new PassThrough());
  if (zstd !== undefined) return program(zstd, ['-q', '-d', '-c'], 'snapshot-corrupt');
  return inProcess(createZstdDecompress());
}

function inProcess(stream: Duplex): Codec {
  return { stream, finished: Promise.resolve() };
}

function program(
  zstd: string,
  args: readonly string[],
  code: 'internal' | 'snapshot-corrupt',
): Codec {
  const child = spawn(zstd, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const complaints: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  const stream = Duplex.from({ writable: child.stdin, readable: child.stdout });
  const finished = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => {
      // Killed by us: the stream's own error is the one that counts.
      if (exitCode === 0 || child.killed) {
        resolve();
        return;
      }
      const complaint = Buffer.concat(complaints).toString('utf8').trim();
      reject(
        new AppError(code, `zstd failed (${signal ?? `exit ${exitCode ?? '?'}`}): ${complaint}`),
      );
    });
  });
  // Whoever gives up on the stream gives up on the process.
  stream.once('close', () => {
    if (!stream.readableEnded) child.kill();
  });
  finished.catch((error: unknown) => {
    // A broken pipe is only the echo of the program's end; its own error says why.
    stream.destroy(error instanceof Error && systemCodeOf(error) !== 'EPIPE' ? error : undefined);
  });
  return { stream, finished };
}
