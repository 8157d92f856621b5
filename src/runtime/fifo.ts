import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Our end of a FIFO whose other end a container opens. */
export interface Fifo extends Disposable {
  readonly stream: Socket;
  /** To be called once the other side is known to have opened its end; from then on its leaving is noticed. */
  letGo(): void;
}

/** Node has no mkfifo; coreutils and busybox do. */
export async function createFifos(...paths: readonly string[]): Promise<void> {
  await run('mkfifo', ['-m', '600', ...paths]);
}

/**
 * Opening a FIFO blocks until the other side does the same, and a blocked open cannot be cancelled. So it is opened
 * without blocking, beside a keeper that has both ends open: while the keeper lives, a reader sees no end and a writer
 * no broken pipe, however late the other side comes.
 */
export function openFifo(path: string, direction: 'read' | 'write'): Fifo {
  let keeper: number | undefined = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const letGo = (): void => {
    if (keeper !== undefined) closeSync(keeper);
    keeper = undefined;
  };
  try {
    const mode = direction === 'read' ? constants.O_RDONLY : constants.O_WRONLY;
    const stream = new Socket({
      fd: openSync(path, mode | constants.O_NONBLOCK),
      readable: direction === 'read',
      writable: direction === 'write',
      allowHalfOpen: true,
    });
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
