import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { copyLabels } from '../runtime/labels.ts';
import type { CopyTarget } from '../runtime/volume-copier.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { Tools } from './context.ts';
import type { PlannedVolume } from './plan.ts';

/**
 * Fills one volume, or a folder of it, from its archive, which is verified while it is read.
 * @returns how much it unpacked to, at most `maxBytes`
 */
export async function fillVolume(
  { copier, log, clock }: Tools,
  bundle: Bundle,
  name: string,
  target: CopyTarget,
  maxBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const startMs = clock.monotonicMs();
  const archived = bundle.manifest.volumes.find((candidate) => candidate.name === name);
  if (!archived) throw new AppError('snapshot-corrupt', `the snapshot has no volume ${name}`);
  const file = join(bundle.dir, archived.archive);
  const { method, unpackedBytes } = await copier
    .restore(target, file, archived, maxBytes, signal)
    .catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== 'snapshot-corrupt') throw error;
      throw new AppError(error.code, `${archived.archive}: ${error.message}`, { cause: error });
    });
  log.info(
    `volume ${name}: ${formatBytes(archived.archiveBytes)} -> ${formatBytes(archived.tarBytes)} ` +
      `in ${secondsSince(clock, startMs)} s (${method}), sha256 verified`,
  );
  return unpackedBytes;
}

/**
 * Creates the volumes and fills them from the bundle. The bundle's folder is not needed any more after it.
 * @param maxBytes that all of them may unpack to
 * @throws `snapshot-corrupt`, `snapshot-incompatible`, `copy-failed`: the volumes are then removed again
 */
export async function restoreVolumes(
  tools: Tools,
  bundle: Bundle,
  volumes: readonly PlannedVolume[],
  image: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const { runtime } = tools;
  const created: string[] = [];
  let leftBytes = maxBytes;
  try {
    for (const { name, volume, labels } of volumes) {
      signal.throwIfAborted();
      await runtime.createVolume(volume, labels);
      created.push(volume);
      const storage = { type: 'volume', source: volume } as const;
      const target = { storage, image, labels: copyLabels(labels) };
      leftBytes -= await fillVolume(tools, bundle, name, target, leftBytes, signal);
    }
  } catch (error) {
    for (const volume of created) await runtime.removeVolume(volume);
    throw error;
  }
}
