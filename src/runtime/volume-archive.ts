import { PassThrough, Readable } from 'node:stream';

import { withResource } from '../aftermath.ts';
import { AppError, toAppError } from '../errors.ts';
import { readArchive, writeArchive, type OnBytes } from './archive-file.ts';
import { helperName } from './labels.ts';
import type { ContainerRuntime } from './runtime.ts';
import { BrokenOff } from './stream-errors.ts';
import { blockBytes, changedHeader } from './tar-header.ts';
import type { Compression, CopyTarget, ExpectedArchive, SavedArchive } from './volume-copier.ts';

export interface ArchiveOptions {
  readonly runtime: ContainerRuntime;
  readonly zstd: string | undefined;
}

/** Where the volume is mounted in the helper container, which is created and never started. */
const mountPoint = '/volume';

const lostNotes = [
  'not kept by the archive API: extended attributes, ACLs, holes of sparse files, fractions of seconds, set-id bits of files with several names; sockets are left out',
];

/**
 * The way that works everywhere: the Engine's own get and put of archives, on a container that never runs. For remote
 * and rootless engines, Podman, and images without GNU tar.
 */
export async function saveArchive(
  { runtime, zstd }: ArchiveOptions,
  target: CopyTarget,
  archiveFile: string,
  compression: Compression,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<SavedArchive> {
  const created = await createHelper(runtime, target, 'save', signal);
  return withResource(created, async (helper) => {
    const tar = await runtime.getArchive(helper.id, `${mountPoint}/.`, signal);
    if (!tar)
      throw new AppError(
        'copy-failed',
        `${target.storage.source} is not readable in its helper container`,
      );
    const written = await writeArchive(tar, archiveFile, compression, zstd, signal, onBytes, {
      leaveOut: target.leaveOut ?? [],
    });
    return { method: 'archive', ...written, notes: [...lostNotes, ...written.notes] };
  });
}

/** How much was unpacked. */
export async function restoreArchive(
  { runtime, zstd }: ArchiveOptions,
  target: CopyTarget,
  archiveFile: string,
  expected: ExpectedArchive,
  maxBytes: number,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<number> {
  const created = await createHelper(runtime, target, 'restore', signal);
  const folder = target.folder === undefined ? mountPoint : `${mountPoint}/${target.folder}`;
  return withResource(created, async (helper) => {
    const upload = new PassThrough({ highWaterMark: 1024 * 1024 });
    const [read, put] = await Promise.allSettled([
      readArchive(archiveFile, expected, maxBytes, upload, zstd, signal, onBytes),
      runtime.putArchive(helper.id, folder, upload, signal).catch((error: unknown) => {
        // A failed put no longer reads: end the stream, so that the other side notices.
        upload.destroy();
        throw error;
      }),
    ]);
    if (read.status === 'rejected' && !(read.reason instanceof BrokenOff)) throw read.reason;
    if (put.status === 'rejected') throw copyFailed(target, put.reason);
    if (read.status === 'rejected') throw read.reason;
    await setRoot(runtime, helper.id, folder, read.value.root, signal);
    return read.value.unpackedBytes;
  });
}

/**
 * Extracting into a folder leaves that folder's own owner and mode as they are (0:0 755 for a fresh volume, with which
 * Postgres does not start). Extracting into its parent an entry with the folder's name sets them.
 */
async function setRoot(
  runtime: ContainerRuntime,
  id: string,
  folder: string,
  root: readonly Buffer[],
  signal: AbortSignal,
): Promise<void> {
  const header = root.at(-1);
  if (!header) return;
  const name = `${folder.slice(1)}/`;
  const tar = Buffer.concat([
    ...root.slice(0, -1),
    changedHeader(header, { name }),
    Buffer.alloc(2 * blockBytes),
  ]);
  await runtime.putArchive(id, '/', Readable.from([tar]), signal);
}

function copyFailed({ storage: { source } }: CopyTarget, error: unknown): AppError {
  const cause = toAppError(error);
  // A code of its own has another reason.
  if (cause.code !== 'engine-refused' && cause.code !== 'copy-failed') return cause;
  return new AppError('copy-failed', `could not fill ${source}: ${cause.message}`, {
    cause,
    ...(cause.hint !== undefined && { hint: cause.hint }),
  });
}

async function createHelper(
  runtime: ContainerRuntime,
  target: CopyTarget,
  direction: 'save' | 'restore',
  signal: AbortSignal,
): Promise<AsyncDisposable & { readonly id: string }> {
  // Without the signal: an aborted request may leave a container whose id nobody knows.
  signal.throwIfAborted();
  const id = await runtime.createContainer({
    name: helperName(target.storage.source, direction),
    image: target.image,
    labels: target.labels,
    // Never started; an image without an entry point needs some name here all the same.
    entrypoint: ['never-started'],
    mounts: [
      { ...target.storage, target: mountPoint, readOnly: direction === 'save', noCopy: true },
    ],
  });
  return { id, [Symbol.asyncDispose]: () => runtime.removeContainer(id) };
}
