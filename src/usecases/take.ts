import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { withPurpose } from '../runtime/labels.ts';
import type { CopySettings } from '../settings.ts';
import { writeBundle, type Bundle } from '../snapshot/bundle.ts';
import type { Target } from '../snapshot/compatibility.ts';
import { formatVersion, type Manifest, type ManifestVolume } from '../snapshot/manifest.ts';
import type { Compression } from '../runtime/volume-copier.ts';
import { createdBy } from '../version.ts';
import type { Tools } from './context.ts';
import { stopCleanly, type CleanStop } from './database.ts';
import type { Plan } from './plan.ts';

/** Where the data of a snapshot comes from: a plan, or a database that is there already. */
export type SnapshotSource = Pick<
  Plan,
  'engine' | 'image' | 'dataPath' | 'volumes' | 'key' | 'keyParts'
> & { readonly target: Pick<Target, 'credentials'> };

/** What only the caller knows of a snapshot. */
export interface SnapshotFacts {
  readonly provenance: Readonly<Record<string, string>>;
  /** `null` where no seed has run. */
  readonly seedSeconds: number | null;
}

/**
 * Stops the database `id` and copies its volumes into a new bundle. It stays stopped, whatever happens.
 * @throws `unclean-shutdown`: this must not become a snapshot; `copy-failed`
 */
export async function takeSnapshot(
  tools: Tools,
  source: SnapshotSource,
  id: string,
  settings: Pick<CopySettings, 'stopTimeoutMs' | 'compression'>,
  facts: SnapshotFacts,
  signal: AbortSignal,
): Promise<Bundle> {
  const stop = await stopCleanly(tools, source, id, settings.stopTimeoutMs);
  tools.log.info(`stopped: exit code ${stop.exitCode}, ${stop.mark}`);
  const createdAt = new Date(tools.clock.now());
  const dir = join(tools.scratchDir, 'saved');
  await mkdir(dir);
  const volumes = await copyVolumes(tools, source, dir, settings.compression, signal);
  return writeBundle(dir, manifestOf(source, stop, createdAt, facts, volumes));
}

async function copyVolumes(
  { copier, log, clock }: Tools,
  source: SnapshotSource,
  dir: string,
  compression: Compression,
  signal: AbortSignal,
): Promise<ManifestVolume[]> {
  const volumes: ManifestVolume[] = [];
  for (const { name, volume, mountPath, labels } of source.volumes) {
    const startMs = clock.now();
    const archive = `${name}.tar${compression.kind === 'zstd' ? '.zst' : ''}`;
    const { method, notes, features, ...written } = await copier.save(
      { volume, image: source.image.reference, labels: withPurpose(labels, 'copy') },
      join(dir, archive),
      compression,
      signal,
    );
    log.info(
      `volume ${name}: ${written.entries} entries, ${formatBytes(written.tarBytes)} -> ` +
        `${formatBytes(written.archiveBytes)} in ${secondsSince(clock, startMs)} s (${method})`,
    );
    for (const note of notes) log.info(`volume ${name}: ${note}`);
    // Engines that leave no mark of their own cannot tell. The root folder is an entry, too.
    if (name === 'data' && written.entries <= 1) {
      throw new AppError(
        'unclean-shutdown',
        `the volume of the database (${mountPath}) is empty: it would be an empty snapshot`,
        { hint: 'The database keeps its data elsewhere: see "data-path"' },
      );
    }
    volumes.push({
      name,
      mountPath,
      archive,
      compression: compression.kind,
      ...written,
      features: [...features],
      notes: [...notes],
    });
  }
  return volumes;
}

function manifestOf(
  source: SnapshotSource,
  stop: CleanStop,
  createdAt: Date,
  { provenance, seedSeconds }: SnapshotFacts,
  volumes: ManifestVolume[],
): Manifest {
  const { image, target } = source;
  return {
    format: formatVersion,
    key: source.key,
    keyParts: [...source.keyParts],
    createdAt: createdAt.toISOString(),
    createdBy,
    engine: { id: source.engine.id, dataVersion: stop.dataVersion, dataPath: source.dataPath },
    image: {
      reference: image.reference,
      id: image.id,
      digest: image.digest ?? null,
      os: image.os,
      architecture: image.architecture,
    },
    credentials: target.credentials,
    consistency: { method: 'stop', exitCode: stop.exitCode, mark: stop.mark },
    volumes,
    provenance: { ...provenance },
    seedSeconds,
  };
}
