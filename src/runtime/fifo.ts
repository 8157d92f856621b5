import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

import { AppError, messageOf } from '../errors.ts';

const run = promisify(execFile);

const lineLimitBytes = 100;

/** Our end of a FIFO whose other end a container opens. */
interface FifoSide extends Disposable {
  /** To be called once the other side is known to have opened its end; from then on its leaving is noticed. */
  letGo(): void;
}

/** For this process, to read. */
export interface Fifo extends FifoSide {
  readonly stream: Socket;
}

/** For a process of ours. */
export interface FifoEnd extends FifoSide {
  /** Its descriptor, which blocks; it is the caller's from now on. */
  take(): number;
}

/** For anybody who may look into their folder. Node has no mkfifo; coreutils and busybox do. */
export async function createFifos(...paths: readonly string[]): Promise<void> {
  await run('mkfifo', ['-m', '666', ...paths]);
}

/**
 * Opening a FIFO blocks until the other side does the same, and a blocked open cannot be cancelled. So it is opened
 * beside a keeper that has both ends open: while the keeper lives, a reader sees no end and a writer no broken pipe,
 * however late the other side comes. The keeper goes when what is returned is called.
 */
function keepOpen(path: string): () => void {
  let keeper: number | undefined = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return () => {
    if (keeper !== undefined) closeSync(keeper);
    keeper = undefined;
  };
}

export function openFifo(path: string): Fifo {
  const letGo = keepOpen(path);
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stream = new Socket({ fd, readable: true, writable: false });
    // Whoever uses the stream listens for its errors. Before and after, nobody does, and that must not end the process.
    stream.on('error', () => undefined);
    return {
      stream,
      letGo,
      [Symbol.dispose]() {
        stream.destroy();
        letGo();
      },
    };
  } catch (error) {
    letGo();
    throw error;
  }
}

export function openFifoEnd(path: string, direction: 'read' | 'write'): FifoEnd {
  const letGo = keepOpen(path);
  try {
    let end: number | undefined = openSync(path, direction === 'read' ? 'r' : 'w');
    return {
      letGo,
      take() {
        if (end === undefined) throw new Error(`${path} was taken`);
        const taken = end;
        end = undefined;
        return taken;
      },
      [Symbol.dispose]() {
        if (end !== undefined) closeSync(end);
        end = undefined;
        letGo();
      },
    };
  } catch (error) {
    letGo();
    throw error;
  }
}

/**
 * Both ends of a pipe, as descriptors that block. Node has none: it is a FIFO that loses its name.
 * @throws `copy-failed`, as on a disk that is full
 */
export async function openPipe(path: string): Promise<{ read: number; write: number }> {
  try {
    await createFifos(path);
  } catch (error) {
    throw new AppError('copy-failed', `could not make the FIFO ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'Look whether the disk of the scratch folder (TMPDIR, RUNNER_TEMP) is full',
    });
  }
  const letGo = keepOpen(path);
  try {
    return { read: openSync(path, 'r'), write: openSync(path, 'w') };
  } finally {
    letGo();
    rmSync(path);
  }
}

/** Up to the first newline, or to the end of a stream without one. What follows stays in the stream. */
export async function readLine(stream: Readable, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let line = '';
  const read = (): void => {
    for (;;) {
      const byte = stream.read(1) as Buffer | null;
      if (byte === null) return;
      if (byte[0] === 0x0a || line.length === lineLimitBytes) {
        // At once: while somebody listens for "readable", the stream reads on.
        stream.off('readable', read);
        resolve(line);
        return;
      }
      line += byte.toString('latin1');
    }
  };
  const end = (): void => {
    resolve(line);
  };
  const abort = (): void => {
    reject(signal.reason as Error);
  };
  stream.on('readable', read);
  stream.once('end', end);
  stream.once('error', reject);
  signal.addEventListener('abort', abort);
  try {
    signal.throwIfAborted();
    return await promise;
  } finally {
    stream.off('readable', read);
    stream.off('end', end);
    stream.off('error', reject);
    signal.removeEventListener('abort', abort);
  }
}
