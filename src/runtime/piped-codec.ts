import { spawn } from 'node:child_process';
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
  // Ours has secrets, and variables of zstd would change what it does.
  const child = spawn(zstd, compressing(compression.level), {
    stdio: [pipe, 'pipe', 'pipe'],
    env: {},
  });
  closeSync(pipe);
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  return {
    streams: [child.stdout as Readable],
    parts: [{ done: programEnd(child, zstd, 'copy-failed'), stop }],
  };
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
  const child = spawn(zstd, decompressing, { stdio: ['pipe', pipe, 'pipe'], env: {} });
  closeSync(pipe);
  const stop = (): void => {
    child.kill('SIGKILL');
  };
  return {
    streams: [child.stdin as Writable],
    parts: [{ done: programEnd(child, zstd, 'snapshot-corrupt'), stop }],
  };
}
