import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { withPurpose } from '../runtime/labels.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { Tools } from './context.ts';
import type { PlannedVolume } from './plan.ts';

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
  const { runtime, copier, log, clock } = tools;
  const created: string[] = [];
  try {
    for (const { name, volume, labels } of volumes) {
      const startMs = clock.now();
      const archived = bundle.manifest.volumes.find((candidate) => candidate.name === name);
      if (!archived) throw new AppError('snapshot-corrupt', `the snapshot has no volume ${name}`);
      await runtime.createVolume(volume, labels, signal);
      created.push(volume);
      const method = await copier.restore(
        { volume, image, labels: withPurpose(labels, 'copy') },
        join(bundle.dir, archived.archive),
        archived,
        signal,
      );
      log.info(
        `volume ${name}: ${formatBytes(archived.archiveBytes)} -> ${formatBytes(archived.tarBytes)} ` +
          `in ${secondsSince(clock, startMs)} s (${method}), sha256 verified`,
      );
    }
  } catch (error) {
    for (const volume of created) await runtime.removeVolume(volume);
    throw error;
  }
}
