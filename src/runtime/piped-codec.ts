import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';

import { compressing, compressor, decompressing, decompressor, programEnd } from './compression.ts';
import type { Part } from './parts.ts';
import type { Compression } from './volume-copier.ts';

/** A codec with one end in a pipe. The zstd program reads or writes that by itself; Node's own zstd needs a stream. */
export interface PipedCodec {
  /** To be piped in this order, beside the streams at its other end. */
  readonly streams: readonly (Readable | Writable)[];
  /** Its process, where it has one. */
  readonly parts: readonly Part[];
}

/** Compresses what comes out of the pipe. The descriptor is the codec's from now on. */
export function compressedFrom(
  pipe: number,
  compression: Compression,
  zstd: string | undefined,
): PipedCodec {
  if (compression.kind === 'none' || zstd === undefined) {
    const source = new Socket({ fd: pipe, readable: true, writable: false });
    return { streams: [source, ...compressor(compression, undefined).streams], parts: [] };
  }
  const child = start(zstd, compressing(compression.level), [pipe, 'pipe', 'pipe']);
  closeSync(pipe);
  return { streams: [child.stdout as Readable], parts: [partOf(child, zstd, 'copy-failed')] };
}

/** Decompresses into the pipe. The descriptor is the codec's from now on. */
export function decompressedTo(
  pipe: number,
  compression: Compression['kind'],
  zstd: string | undefined,
): PipedCodec {
  if (compression === 'none' || zstd === undefined) {
    const sink = new Socket({ fd: pipe, readable: false, writable: true });
    return { streams: [...decompressor(compression, undefined).streams, sink], parts: [] };
  }
  const child = start(zstd, decompressing, ['pipe', pipe, 'pipe']);
  closeSync(pipe);
  return { streams: [child.stdin as Writable], parts: [partOf(child, zstd, 'snapshot-corrupt')] };
}

/** Ours has secrets, and variables of zstd would change what it does. */
const start = (zstd: string, args: readonly string[], stdio: StdioOptions): ChildProcess =>
  spawn(zstd, args, { stdio, env: {} });

function partOf(
  child: ChildProcess,
  zstd: string,
  failure: 'copy-failed' | 'snapshot-corrupt',
): Part {
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  return { done: programEnd(child, zstd, failure), stop };
}
