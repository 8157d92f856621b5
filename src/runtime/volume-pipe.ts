import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { AppError } from '../errors.ts';
import type { ArchiveFeature } from '../snapshot/manifest.ts';
import { readArchive, writeArchive, type OnBytes } from './archive-file.ts';
import { createFifos, openFifo, type Fifo } from './fifo.ts';
import type { ContainerRuntime } from './runtime.ts';
import type { Compression, CopyTarget, ExpectedArchive, SavedArchive } from './volume-copier.ts';

/** How long a helper container may take to open its FIFO and say what its tar can. */
const handshakeTimeoutMs = 20_000;

/** What the image's tar is, as the helper's first line says. */
type Flavour = 'gnu' | 'busybox';

const understands: Readonly<Record<Flavour, readonly ArchiveFeature[]>> = {
  gnu: ['pax', 'sparse', 'xattrs'],
  // busybox tar skips extended headers, so that a long name would come out cut and a sparse file wrong.
  busybox: [],
};

/** What each tar does not keep. */
const lostNotes: Readonly<Record<Flavour, readonly string[]>> = {
  gnu: [],
  busybox: [
    'not kept by busybox tar: extended attributes, ACLs, holes of sparse files, fractions of seconds',
  ],
};

/** The pipe cannot be used here, for this reason; the archive API may. */
export class PipeUnavailable extends Error {
  override readonly name = 'PipeUnavailable';
}

/**
 * Both scripts open the FIFOs, then say in one line which tar this is; that line is the probe of the whole way.
 * `--sort=name` and the fixed header name (the default has a process id in it) make the same tree give the same bytes.
 * busybox sorts by itself what `find` lists; it cannot take names with a newline that way.
 */
const flavourScript = `
case "$(tar --version 2>&1)" in
  *'GNU tar'*) flavour=gnu ;;
  *BusyBox*) flavour=busybox ;;
  *) flavour=none ;;
esac`;

const saveScript = `${flavourScript}
exec >/scratch/out
cd /volume
if [ $flavour = busybox ]; then
  set -o pipefail
  newline='
'
  [ -z "$(find . -name "*$newline*" | head -n 1)" ] || flavour=newline
fi
echo $flavour
case $flavour in
  gnu)
    exec tar --create --file=- --format=posix \\
      --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \\
      --sort=name --numeric-owner --sparse --acls --xattrs --xattrs-include='user.*' . ;;
  busybox)
    find . -type s | sed 's/$/: socket left out/' >&2
    find . ! -type s | LC_ALL=C sort | tar -c -f - --no-recursion -T - ;;
  *) exit 3 ;;
esac`;

const restoreScript = `${flavourScript}
exec 3</scratch/in
echo $flavour >/scratch/out
cd /volume
case $flavour in
  gnu)
    exec tar --extract --file=- --preserve-permissions --same-owner --numeric-owner \\
      --acls --xattrs --xattrs-include='user.*' <&3 ;;
  busybox)
    exec tar -x -p -f - --numeric-owner <&3 ;;
  *) exit 3 ;;
esac`;

/** Root inside, but only over files: see docs/how-it-works.md. */
const saveCapabilities = ['DAC_OVERRIDE'];
const restoreCapabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID'];

export interface PipeOptions {
  readonly runtime: ContainerRuntime;
  readonly scratchDir: string;
  readonly zstd: string | undefined;
}

/**
 * The quick way: a helper container of the database's own image runs its own tar, and the bytes go through a FIFO in a
 * bind-mounted scratch folder. @throws PipeUnavailable before anything was copied, where this image or engine cannot.
 */
export async function savePipe(
  options: PipeOptions,
  target: CopyTarget,
  archiveFile: string,
  compression: Compression,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<SavedArchive> {
  await using helper = await startHelper(options, target, 'save', signal);
  const { output, flavour } = helper;
  const written = await helper.watch(
    writeArchive(output.stream, archiveFile, compression, options.zstd, signal, onBytes),
  );
  return {
    method: 'pipe',
    ...written,
    notes: [...lostNotes[flavour], ...written.notes, ...(await helper.complaints())],
  };
}

/** The way back. As {@link savePipe}; what is thrown besides is `VolumeCopier.restore`'s. */
export async function restorePipe(
  options: PipeOptions,
  target: CopyTarget,
  archiveFile: string,
  expected: ExpectedArchive,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<void> {
  await using helper = await startHelper(options, target, 'restore', signal);
  const missing = expected.features.filter((f) => !understands[helper.flavour].includes(f));
  if (missing.length > 0) {
    throw new PipeUnavailable(
      `the image's tar (${helper.flavour}) does not understand: ${missing.join(', ')}`,
    );
  }
  if (!helper.input) throw new AppError('internal', 'the restore helper has no input');
  await helper.watch(
    readArchive(archiveFile, expected, helper.input.stream, options.zstd, signal, onBytes),
  );
}

interface Helper extends AsyncDisposable {
  readonly flavour: Flavour;
  readonly output: Fifo;
  readonly input: Fifo | undefined;
  /** Waits for the copy and for the helper's own success; the helper's failure is the better explanation. */
  watch<T>(copy: Promise<T>): Promise<T>;
  /** What tar said besides, e.g. of sockets it left out. */
  complaints(): Promise<string[]>;
}

async function startHelper(
  { runtime, scratchDir }: PipeOptions,
  target: CopyTarget,
  direction: 'save' | 'restore',
  signal: AbortSignal,
): Promise<Helper> {
  const cleanups = new AsyncDisposableStack();
  try {
    const folder = await mkdtemp(join(scratchDir, 'pipe-'));
    cleanups.defer(() => rm(folder, { recursive: true, force: true }));
    await createFifos(join(folder, 'in'), join(folder, 'out'));
    const output = cleanups.use(openFifo(join(folder, 'out'), 'read'));
    const input =
      direction === 'restore' ? cleanups.use(openFifo(join(folder, 'in'), 'write')) : undefined;

    const id = await unavailableUnlessCancelled(signal, async () => {
      const created = await runtime.createContainer(
        {
          name: `${target.volume}-${direction}`,
          image: target.image,
          labels: target.labels,
          entrypoint: ['sh', '-c', direction === 'save' ? saveScript : restoreScript],
          user: '0:0',
          mounts: [
            {
              type: 'volume',
              source: target.volume,
              target: '/volume',
              readOnly: direction === 'save',
              noCopy: true,
            },
            { type: 'bind', source: folder, target: '/scratch' },
          ],
          confinedTo: direction === 'save' ? saveCapabilities : restoreCapabilities,
        },
        signal,
      );
      cleanups.defer(() => runtime.removeContainer(created));
      await runtime.startContainer(created, signal);
      return created;
    });

    const exit = runtime.waitForExit(id, signal);
    exit.catch(() => undefined); // awaited in `watch`; until then nobody listens
    const flavour = await handshake(output, exit, signal);
    output.letGo();
    input?.letGo();
    const owned = cleanups.move();

    const complaints = async (): Promise<string[]> =>
      (await runtime.logs(id, 20)).map((line) => `tar: ${line.replace(/^tar: /, '')}`);
    return {
      flavour,
      output,
      input,
      complaints,
      async watch(copy) {
        const [copied, exited] = await Promise.allSettled([copy, exit]);
        signal.throwIfAborted();
        // Bad bytes come first: a tar that is fed half an archive fails as well.
        if (
          copied.status === 'rejected' &&
          copied.reason instanceof AppError &&
          copied.reason.code === 'snapshot-corrupt'
        ) {
          throw copied.reason;
        }
        if (exited.status === 'rejected') throw exited.reason;
        if (exited.value !== 0) {
          throw new AppError(
            'copy-failed',
            `tar in the helper container failed with exit code ${exited.value}`,
            {
              details: await complaints(),
              cause: copied.status === 'rejected' ? copied.reason : undefined,
            },
          );
        }
        if (copied.status === 'rejected') throw copied.reason;
        return copied.value;
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await cleanups.disposeAsync();
    throw error;
  }
}

/** A helper that cannot be created or started (no `sh`, no shared file system) only rules the pipe out. */
async function unavailableUnlessCancelled<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AppError && error.code === 'docker-unreachable') throw error;
    throw new PipeUnavailable('the helper container does not start', { cause: error });
  }
}

/** The helper's first line. What follows it stays in the stream. */
async function handshake(
  output: Fifo,
  exit: Promise<number>,
  signal: AbortSignal,
): Promise<Flavour> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(handshakeTimeoutMs)]);
  // A helper that is gone will not open its end any more: let the stream end after what it has written.
  void exit.then(output.letGo, output.letGo);
  const line = await readLine(output.stream, patience).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new PipeUnavailable('the helper container does not answer through the FIFO', {
      cause: error,
    });
  });
  if (line === 'gnu' || line === 'busybox') return line;
  throw new PipeUnavailable(
    line === 'newline'
      ? 'busybox tar cannot take names with a newline'
      : 'the image has no tar that can be used (GNU or busybox)',
  );
}

/** Up to the first newline, or to the end of a stream without one. */
async function readLine(stream: Readable, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let line = '';
  const read = (): void => {
    for (;;) {
      const byte = stream.read(1) as Buffer | null;
      if (byte === null) return;
      if (byte[0] === 0x0a || line.length > 100) {
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
