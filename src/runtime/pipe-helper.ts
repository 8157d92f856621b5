import { chmod, mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { AppError, messageOf } from '../errors.ts';
import { linesOf } from './docker-frames.ts';
import { createFifos, openFifo, openFifoEnd, readLine, type Fifo, type FifoEnd } from './fifo.ts';
import { helperName } from './labels.ts';
import {
  answerFifo,
  capabilities,
  complaintsFile,
  dataFifo,
  excluding,
  helperEnv,
  ready,
  scripts,
} from './pipe-scripts.ts';
import type { ContainerRuntime, ContainerSpec } from './runtime.ts';
import { BrokenOff } from './stream-errors.ts';
import { hasTarSieve } from './tar-sieve-process.ts';
import type { CopyTarget } from './volume-copier.ts';

/** How long a helper container may take to open its FIFO and say what its tar can. */
const handshakeTimeoutMs = 20_000;
/** The last ones tell. */
const complaintLines = 20;
const complaintBytes = 64 * 1024;

/** The pipe cannot be used here, for this reason; the archive API may. */
export class PipeUnavailable extends Error {
  override readonly name = 'PipeUnavailable';
}

/** A container that runs tar, with its FIFOs open. Disposing of it leaves nothing. */
export interface PipeHelper extends AsyncDisposable {
  /** What tar writes when saving, and reads when restoring. */
  readonly data: FifoEnd;
  /**
   * Waits for the copy and for the helper to end. The copy's own error comes first, unless it only says that the
   * helper's end of the stream broke.
   */
  watch<T>(copy: Promise<T>): Promise<T>;
  /** What tar said besides, e.g. of sockets it left out. */
  complaints(): Promise<string[]>;
}

/** @throws PipeUnavailable */
export async function startPipeHelper(
  runtime: ContainerRuntime,
  scratchDir: string,
  target: CopyTarget,
  direction: 'save' | 'restore',
  signal: AbortSignal,
): Promise<PipeHelper> {
  const cleanups = new AsyncDisposableStack();
  try {
    return await start(cleanups, runtime, scratchDir, target, direction, signal);
  } catch (error) {
    await cleanups.disposeAsync().catch(() => undefined); // what went wrong first tells more
    throw error;
  }
}

async function start(
  cleanups: AsyncDisposableStack,
  runtime: ContainerRuntime,
  scratchDir: string,
  target: CopyTarget,
  direction: 'save' | 'restore',
  signal: AbortSignal,
): Promise<PipeHelper> {
  if (!hasTarSieve()) throw new PipeUnavailable('the program tar-sieve-program is missing');
  const { answer, data, said, id } = await unlessUnavailable(signal, async () => {
    const made = await mkdtemp(join(scratchDir, 'pipe-'));
    cleanups.defer(() => rm(made, { recursive: true, force: true }));
    // For anybody who sees them: the helper's root is another user where containers have users of their own. Nobody else
    // does, for the scratch folder is ours alone.
    await chmod(made, 0o711);
    await createFifos(join(made, answerFifo), join(made, dataFifo));
    // Opened now: later the name may stand for anything, a link to a file of this host perhaps.
    const opened = await open(join(made, complaintsFile), 'wx+');
    cleanups.defer(() => opened.close());
    await opened.chmod(0o666);
    const fifos = {
      answer: cleanups.use(openFifo(join(made, answerFifo))),
      data: cleanups.use(
        openFifoEnd(join(made, dataFifo), direction === 'save' ? 'read' : 'write'),
      ),
    };
    // Without the signal: an aborted request may leave a container whose id nobody knows.
    const created = await runtime.createContainer(helperSpec(target, made, direction));
    cleanups.defer(() => runtime.removeContainer(created));
    signal.throwIfAborted();
    await runtime.startContainer(created);
    signal.throwIfAborted();
    return { ...fifos, said: opened, id: created };
  });

  const exit = runtime.waitForExit(id, signal);
  // A helper that is gone will not open its end any more: let the answer end after what it has written. This also
  // hears a failure of `exit` while nobody waits for it yet.
  const left = (): void => {
    answer.letGo();
  };
  void exit.then(left, left);
  await handshake(answer, signal);
  data.letGo();

  const complaints = (): Promise<string[]> => complaintsIn(said);
  return {
    data,
    complaints,
    async watch(copy) {
      // A copy that failed before it took the stream: tar would wait for it.
      const ended = copy.finally(() => {
        data[Symbol.dispose]();
      });
      const [copied, exited] = await Promise.allSettled([ended, exit]);
      if (copied.status === 'rejected' && !(copied.reason instanceof BrokenOff))
        throw copied.reason;
      if (exited.status === 'rejected') throw exited.reason;
      if (exited.value !== 0) throw tarFailed(target, direction, exited.value, await complaints());
      if (copied.status === 'rejected') throw copied.reason;
      return copied.value;
    },
    [Symbol.asyncDispose]: () => cleanups.disposeAsync(),
  };
}

function helperSpec(
  target: CopyTarget,
  scratch: string,
  direction: 'save' | 'restore',
): ContainerSpec {
  return {
    name: helperName(target.storage.source, direction),
    image: target.image,
    labels: target.labels,
    env: { ...helperEnv, FOLDER: target.folder ?? '.' },
    entrypoint: ['sh', '-c', scripts[direction], 'sh', ...excluding(target.leaveOut ?? [])],
    user: '0:0',
    mounts: [
      { ...target.storage, target: '/volume', readOnly: direction === 'save', noCopy: true },
      { type: 'bind', source: scratch, target: '/scratch' },
    ],
    confinedTo: capabilities[direction],
  };
}

/** FIFOs that cannot be made, a helper that does not start (no `sh`, no shared file system): other ways remain. */
async function unlessUnavailable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    // A code of its own (no engine, no image) would meet the other way as well. A folder that the engine cannot mount is
    // that of the FIFOs, or the other way will tell.
    if (error instanceof AppError && !/^(engine-refused|volume-missing)$/.test(error.code))
      throw error;
    throw new PipeUnavailable(`its helper container does not start (${messageOf(error)})`, {
      cause: error,
    });
  }
}

/** Waits for the helper's line. */
async function handshake(answer: Fifo, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(handshakeTimeoutMs)]);
  const line = await readLine(answer.stream, patience).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new PipeUnavailable('its helper container does not answer through the FIFO', {
      cause: error,
    });
  });
  if (line === ready) return;
  throw new PipeUnavailable(
    line === '' ? 'its helper container ended without an answer' : 'the image has no GNU tar',
  );
}

async function complaintsIn(file: FileHandle): Promise<string[]> {
  const { size } = await file.stat();
  const { buffer, bytesRead } = await file.read({
    buffer: Buffer.alloc(complaintBytes),
    position: Math.max(0, size - complaintBytes),
  });
  const lines = linesOf(buffer.toString('utf8', 0, bytesRead)).slice(-complaintLines);
  return lines.map((line) => `tar: ${line.replace(/^tar: /, '')}`);
}

function tarFailed(
  { storage: { source } }: CopyTarget,
  direction: 'save' | 'restore',
  exitCode: number,
  details: string[],
): AppError {
  return new AppError(
    'copy-failed',
    `could not ${direction === 'save' ? 'read' : 'fill'} ${source}: tar in its helper container failed with exit code ${exitCode}`,
    {
      details,
      // GNU tar's own meaning of 1 when it creates an archive.
      ...(direction === 'save' &&
        exitCode === 1 && { hint: 'If a file changed while it was read, stop what writes to it' }),
    },
  );
}
