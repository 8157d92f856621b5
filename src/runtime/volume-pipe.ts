import { readArchive, writeArchive, type OnBytes } from './archive-file.ts';
import { startPipeHelper } from './pipe-helper.ts';
import type { ContainerRuntime } from './runtime.ts';
import type { Compression, CopyTarget, ExpectedArchive, SavedArchive } from './volume-copier.ts';
import { withResource } from './with-resource.ts';

export interface PipeOptions {
  readonly runtime: ContainerRuntime;
  readonly scratchDir: string;
  readonly zstd: string | undefined;
}

/**
 * The quick way: a helper container of the database's own image runs its own GNU tar, and the bytes go through a FIFO in a
 * bind-mounted scratch folder. @throws PipeUnavailable before anything was copied, where this image or engine cannot.
 */
export async function savePipe(
  { runtime, scratchDir, zstd }: PipeOptions,
  target: CopyTarget,
  archiveFile: string,
  compression: Compression,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<SavedArchive> {
  const started = await startPipeHelper(runtime, scratchDir, target, 'save', signal);
  return withResource(started, async (helper) => {
    const { stream } = helper.output;
    const written = await helper.watch(
      writeArchive(stream, archiveFile, compression, zstd, signal, onBytes, {
        leaveOut: target.leaveOut ?? [],
      }),
    );
    const notes = [...written.notes, ...(await helper.complaints())];
    return { method: 'pipe', ...written, notes };
  });
}

/** The way back, and how much was unpacked. As {@link savePipe}; what is thrown besides is `VolumeCopier.restore`'s. */
export async function restorePipe(
  { runtime, scratchDir, zstd }: PipeOptions,
  target: CopyTarget,
  archiveFile: string,
  expected: ExpectedArchive,
  maxBytes: number,
  signal: AbortSignal,
  onBytes?: OnBytes,
): Promise<number> {
  const started = await startPipeHelper(runtime, scratchDir, target, 'restore', signal);
  return withResource(started, async (helper) => {
    const { stream } = helper.input;
    const { unpackedBytes } = await helper.watch(
      readArchive(archiveFile, expected, maxBytes, stream, zstd, signal, onBytes),
    );
    return unpackedBytes;
  });
}
