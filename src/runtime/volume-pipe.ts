import { withResource } from '../aftermath.ts';
import type { OnBytes } from './archive-file.ts';
import { startPipeHelper } from './pipe-helper.ts';
import { readPipedArchive, writePipedArchive, type PipedOptions } from './piped-archive.ts';
import type { ContainerRuntime } from './runtime.ts';
import type { Compression, CopyTarget, ExpectedArchive, SavedArchive } from './volume-copier.ts';

export interface PipeOptions extends PipedOptions {
  readonly runtime: ContainerRuntime;
}

/**
 * The quick way: a helper container of the database's own image runs its own GNU tar, and the bytes go through a FIFO in a
 * bind-mounted scratch folder. @throws PipeUnavailable before anything was copied, where this image or engine cannot.
 */
export async function savePipe(
  options: PipeOptions,
  target: CopyTarget,
  archiveFile: string,
  compression: Compression,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<SavedArchive> {
  const { runtime, scratchDir } = options;
  const started = await startPipeHelper(runtime, scratchDir, target, 'save', signal);
  return withResource(started, async (helper) => {
    const written = await helper.watch(
      writePipedArchive(options, helper.data, target, archiveFile, compression, signal, onBytes),
    );
    const notes = [...written.notes, ...(await helper.complaints())];
    return { method: 'pipe', ...written, notes };
  });
}

/** The way back, and how much was unpacked. As {@link savePipe}; what is thrown besides is `VolumeCopier.restore`'s. */
export async function restorePipe(
  options: PipeOptions,
  target: CopyTarget,
  archiveFile: string,
  expected: ExpectedArchive,
  maxBytes: number,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<number> {
  const { runtime, scratchDir } = options;
  const started = await startPipeHelper(runtime, scratchDir, target, 'restore', signal);
  return withResource(started, (helper) =>
    helper.watch(
      readPipedArchive(options, archiveFile, expected, maxBytes, helper.data, signal, onBytes),
    ),
  );
}
