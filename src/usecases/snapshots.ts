import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import { AppError, explain } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { withPurpose } from '../runtime/labels.ts';
import { openBundle, writeBundle, type Bundle } from '../snapshot/bundle.ts';
import { misfit, type Target } from '../snapshot/compatibility.ts';
import { formatVersion, type Manifest, type ManifestVolume } from '../snapshot/manifest.ts';
import type { Compression } from '../runtime/volume-copier.ts';
import type { Found } from '../stores/store.ts';
import { createdBy } from '../version.ts';
import type { StoreTools, Tools } from './context.ts';
import type { CleanStop } from './database.ts';
import type { Plan, PlannedVolume } from './plan.ts';

/** Copies the volumes of a stopped database into a new bundle. */
export async function takeSnapshot(
  tools: Tools,
  plan: Pick<Plan, 'volumes' | 'image'>,
  compression: Compression,
  describe: (volumes: ManifestVolume[]) => Manifest,
  signal: AbortSignal,
): Promise<Bundle> {
  const { copier, log, clock, scratchDir } = tools;
  const dir = join(scratchDir, 'saved');
  await mkdir(dir);
  const volumes: ManifestVolume[] = [];
  for (const { name, volume, mountPath, labels } of plan.volumes) {
    const startMs = clock.now();
    const archive = `${name}.tar${compression.kind === 'zstd' ? '.zst' : ''}`;
    const { method, notes, features, ...written } = await copier.save(
      { volume, image: plan.image.reference, labels: withPurpose(labels, 'copy') },
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
  return writeBundle(dir, describe(volumes));
}

/** Where the data of a snapshot comes from: a plan, or a database that is there already. */
export type SnapshotSource = Pick<
  Plan,
  'engine' | 'image' | 'dataPath' | 'volumes' | 'key' | 'keyParts'
> & { readonly target: Pick<Target, 'credentials'> };

export function describeSnapshot(
  plan: SnapshotSource,
  stop: CleanStop,
  now: Date,
  provenance: Readonly<Record<string, string>>,
  seedSeconds: number | null,
): (volumes: ManifestVolume[]) => Manifest {
  const { image, target } = plan;
  return (volumes) => ({
    format: formatVersion,
    key: plan.key,
    keyParts: [...plan.keyParts],
    createdAt: now.toISOString(),
    createdBy,
    engine: { id: plan.engine.id, dataVersion: stop.dataVersion, dataPath: plan.dataPath },
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
  });
}

/** Why there is no hit. */
export interface Miss {
  readonly reason: string;
  /** Under the very key there is a snapshot that cannot be used: it stays, and keeps others from being saved. */
  readonly occupied: boolean;
}

/** A snapshot that was looked for and can be used, or why there is none. */
export type Search =
  | { readonly kind: 'found'; readonly bundle: Bundle; readonly exact: boolean }
  | ({ readonly kind: 'none' } & Miss);

/**
 * Looks a snapshot up, loads it and reads its manifest. Nothing is extracted, and whatever is wrong with a snapshot or
 * a store is a reason, not an error: the caller can always seed.
 */
export async function searchSnapshot(
  tools: StoreTools,
  plan: Plan,
  restoreKeys: readonly string[],
  explainMiss: () => Promise<string>,
  signal: AbortSignal,
): Promise<Search> {
  const { store, log } = tools;
  let occupied = false;
  try {
    const found = await store.find({ primary: plan.key, prefixes: restoreKeys }, signal);
    if (!found) return { kind: 'none', reason: await explainMiss(), occupied };
    occupied = found.exact;
    log.info(found.exact ? `found ${found.key}` : `found a base snapshot: ${found.key}`);
    const bundle = await loadBundle(tools, found, signal);
    if (!bundle) {
      const reason = `the snapshot ${found.key} was removed while it was looked up`;
      return { kind: 'none', reason, occupied: false };
    }
    const reason = misfit(bundle.manifest, plan.target);
    if (reason !== undefined) {
      await rm(bundle.dir, { recursive: true });
      return {
        kind: 'none',
        reason: `the snapshot ${found.key} does not fit: ${reason}`,
        occupied,
      };
    }
    return { kind: 'found', bundle, exact: found.exact };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError) || !reasonCodes.has(error.code)) throw error;
    log.warn(explain(error));
    return { kind: 'none', reason: error.message, occupied };
  }
}

/** What keeps a snapshot from being used without keeping the database from being seeded. */
const reasonCodes: ReadonlySet<AppError['code']> = new Set([
  'store-unavailable',
  'snapshot-corrupt',
  'snapshot-incompatible',
]);

/** The bundle, opened, in the scratch folder. `undefined` when the snapshot has gone since it was found. */
export async function loadBundle(
  { store, scratchDir }: Pick<StoreTools, 'store' | 'scratchDir'>,
  found: Found,
  signal: AbortSignal,
): Promise<Bundle | undefined> {
  const dir = join(scratchDir, 'loaded');
  await mkdir(dir);
  try {
    if (await store.load(found, dir, signal)) return await openBundle(dir);
  } catch (error) {
    await rm(dir, { recursive: true });
    throw error;
  }
  await rm(dir, { recursive: true });
  return undefined;
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
