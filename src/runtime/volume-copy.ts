import { AppError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { OnBytes } from './archive-file.ts';
import { PipeUnavailable } from './pipe-helper.ts';
import type { ContainerRuntime } from './runtime.ts';
import { silenceMs as defaultSilenceMs, watchForSilence } from './silence.ts';
import { BrokenOff } from './stream-errors.ts';
import { restoreArchive, saveArchive } from './volume-archive.ts';
import type { CopyMethod, CopyTarget, RestoredArchive, VolumeCopier } from './volume-copier.ts';
import { restorePipe, savePipe } from './volume-pipe.ts';

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
  /** After how long without a byte a copy is given up. */
  readonly silenceMs?: number;
}

/** The two ways of copying behind one interface. */
export function createVolumeCopier(options: CopierOptions): VolumeCopier {
  const { runtime, log, method, sharesFileSystem, silenceMs = defaultSilenceMs } = options;

  /** Tries the pipe, unless it is ruled out; its unavailability shows before anything was copied. */
  async function choose<T>(
    signal: AbortSignal,
    pipe: () => Promise<T>,
    archive: () => Promise<T>,
  ): Promise<T> {
    if (method === 'archive' || (method === 'auto' && !sharesFileSystem)) return archive();
    try {
      return await pipe();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PipeUnavailable)) throw error;
      if (method === 'pipe') {
        throw new AppError(
          'copy-failed',
          `the copy method "pipe" is not possible here: ${error.message}`,
          { cause: error, hint: 'Use "auto" or "archive"' },
        );
      }
      log.debug(`copying through the archive API: ${error.message}`);
      return archive();
    }
  }

  /** One copy: of a volume that exists, and with every failure an AppError. */
  async function copy<T>(
    { storage: { type, source } }: CopyTarget,
    signal: AbortSignal,
    report: OnBytes,
    work: (signal: AbortSignal, onBytes: OnBytes) => Promise<T>,
  ): Promise<T> {
    using watch = watchForSilence(silenceMs);
    const onBytes: OnBytes = (bytes) => {
      watch.heard();
      report(bytes);
    };
    try {
      // The engine makes a volume that is mounted and not there, empty and without labels.
      if (type === 'volume' && !(await runtime.findVolume(source, signal)))
        throw new AppError('copy-failed', `there is no volume ${source}`);
      return await work(AbortSignal.any([signal, watch.signal]), onBytes);
    } catch (error) {
      // A copy that is cut off fails in many ways; they all mean this.
      if (signal.aborted) throw new AppError('cancelled', 'cancelled', { cause: error });
      if (watch.signal.aborted) {
        throw new AppError(
          'copy-failed',
          `the copy of ${source} was given up: nothing has arrived for ${silenceMs / 1000} s`,
          { cause: error, hint: 'Look whether the disk and the container engine still work' },
        );
      }
      if (error instanceof BrokenOff)
        throw new AppError('copy-failed', error.message, { cause: error });
      throw toAppError(error);
    }
  }

  const reporting =
    (label: string, totalBytes?: number): OnBytes =>
    (bytes) => {
      log.progress(totalBytes === undefined ? { label, bytes } : { label, bytes, totalBytes });
    };

  return {
    save(target, archiveFile, compression, signal) {
      const report = reporting(`saving ${target.storage.source}`);
      return copy(target, signal, report, (limit, onBytes) => {
        const args = [options, target, archiveFile, compression, limit, onBytes] as const;
        return choose(
          limit,
          () => savePipe(...args),
          () => saveArchive(...args),
        );
      });
    },

    restore(target, archiveFile, expected, maxBytes, signal) {
      const report = reporting(`restoring ${target.storage.source}`, expected.tarBytes);
      return copy(target, signal, report, (limit, onBytes) => {
        const args = [options, target, archiveFile, expected, maxBytes, limit, onBytes] as const;
        return choose<RestoredArchive>(
          limit,
          async () => ({ method: 'pipe', unpackedBytes: await restorePipe(...args) }),
          async () => ({ method: 'archive', unpackedBytes: await restoreArchive(...args) }),
        );
      });
    },
  };
}
