import { rm } from 'node:fs/promises';

import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { OnBytes } from './archive-file.ts';
import type { ContainerRuntime } from './runtime.ts';
import { restoreArchive, saveArchive } from './volume-archive.ts';
import type { CopyMethod, VolumeCopier } from './volume-copier.ts';
import { PipeUnavailable, restorePipe, savePipe } from './volume-pipe.ts';

export interface CopierOptions {
  readonly runtime: ContainerRuntime;
  readonly log: Log;
  /** A folder of ours for FIFOs. */
  readonly scratchDir: string;
  /** The `zstd` program, where there is one. */
  readonly zstd: string | undefined;
  /** `auto` takes the pipe where its helper container answers, else the archive API. */
  readonly method: CopyMethod | 'auto';
  /** False where a FIFO cannot be shared with the engine: a remote engine, or one in a virtual machine. */
  readonly sharesFileSystem: boolean;
}

/** The two ways of copying behind one interface. */
export function createVolumeCopier(options: CopierOptions): VolumeCopier {
  const { runtime, log, scratchDir, zstd, method, sharesFileSystem } = options;

  /** Tries the pipe, unless it is ruled out; its unavailability shows before anything was copied. */
  async function choose<T>(pipe: () => Promise<T>, archive: () => Promise<T>): Promise<T> {
    if (method === 'archive' || (method === 'auto' && !sharesFileSystem)) return archive();
    try {
      return await pipe();
    } catch (error) {
      if (!(error instanceof PipeUnavailable)) throw error;
      if (method === 'pipe') {
        throw new AppError(
          'copy-failed',
          `the copy method "pipe" is not possible here: ${error.message}`,
          {
            cause: error,
            hint: 'Use "auto" or "archive"',
          },
        );
      }
      log.debug(`copying through the archive API: ${error.message}`);
      return archive();
    }
  }

  const reporting =
    (label: string, totalBytes?: number): OnBytes =>
    (bytes) => {
      log.progress(totalBytes === undefined ? { label, bytes } : { label, bytes, totalBytes });
    };

  return {
    async save(target, archiveFile, compression, signal) {
      const onBytes = reporting(`saving ${target.volume}`);
      try {
        return await choose(
          () =>
            savePipe(
              { runtime, scratchDir, zstd },
              target,
              archiveFile,
              compression,
              signal,
              onBytes,
            ),
          () => saveArchive({ runtime, zstd }, target, archiveFile, compression, signal, onBytes),
        );
      } catch (error) {
        await rm(archiveFile, { force: true });
        throw error;
      }
    },

    restore(target, archiveFile, expected, signal) {
      const onBytes = reporting(`restoring ${target.volume}`, expected.tarBytes);
      return choose<CopyMethod>(
        async () => {
          await restorePipe(
            { runtime, scratchDir, zstd },
            target,
            archiveFile,
            expected,
            signal,
            onBytes,
          );
          return 'pipe';
        },
        async () => {
          await restoreArchive({ runtime, zstd }, target, archiveFile, expected, signal, onBytes);
          return 'archive';
        },
      );
    },
  };
}
