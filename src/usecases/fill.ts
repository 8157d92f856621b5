import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { copyLabels } from '../runtime/labels.ts';
import type { CopyTarget } from '../runtime/volume-copier.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { Tools } from './context.ts';
import type { PlannedVolume } from './plan.ts';

/** Fills one volume, or a folder of it, from its archive, which is verified while it is read. */
export async function fillVolume(
  { copier, log, clock }: Tools,
  bundle: Bundle,
  name: string,
  target: CopyTarget,
  signal: AbortSignal,
): Promise<void> {
  const startMs = clock.now();
  const archived = bundle.manifest.volumes.find((candidate) => candidate.name === name);
  if (!archived) throw new AppError('snapshot-corrupt', `the snapshot has no volume ${name}`);
  const method = await copier
    .restore(target, join(bundle.dir, archived.archive), archived, signal)
    .catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== 'snapshot-corrupt') throw error;
      throw new AppError(error.code, `${archived.archive}: ${error.message}`, { cause: error });
    });
  log.info(
    `volume ${name}: ${formatBytes(archived.archiveBytes)} -> ${formatBytes(archived.tarBytes)} ` +
      `in ${secondsSince(clock, startMs)} s (${method}), sha256 verified`,
  );
}

/**
 * Creates the volumes and fills them from the bundle. The bundle's folder is not needed any more after it.
 * @throws `snapshot-corrupt`, `copy-failed`: the volumes are then removed again
 */
export async function restoreVolumes(
  tools: Tools,
  bundle: Bundle,
  volumes: readonly PlannedVolume[],
  image: string,
  signal: AbortSignal,
): Promise<void> {
  const { runtime } = tools;
  const created: string[] = [];
  try {
    for (const { name, volume, labels } of volumes) {
      await runtime.createVolume(volume, labels, signal);
      created.push(volume);
      const storage = { type: 'volume', source: volume } as const;
      const target = { storage, image, labels: copyLabels(labels) };
      await fillVolume(tools, bundle, name, target, signal);
    }
  } catch (error) {
    for (const volume of created) await runtime.removeVolume(volume);
    throw error;
  }
}
