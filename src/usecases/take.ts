import { mkdir } from 'node:fs/promises';
import { join, posix } from 'node:path';

import { secondsSince } from '../clock.ts';
import { copyLabels } from '../runtime/labels.ts';
import type { ImageFacts } from '../runtime/runtime.ts';
import type { CopySettings } from '../settings.ts';
import { writeBundle, type Bundle } from '../snapshot/bundle.ts';
import type { Target } from '../snapshot/compatibility.ts';
import {
  formatVersion,
  type DatabaseManifest,
  type DatabaseVolume,
  type LargeTable,
  type LeftOut,
  type ManifestImage,
} from '../snapshot/manifest.ts';
import type { Compression, VolumeContents } from '../runtime/volume-copier.ts';
import { createdBy } from '../version.ts';
import { archiveVolume } from './archive.ts';
import type { Tools } from './context.ts';
import { longestPrefix } from '../paths.ts';
import { elsewhereError, listLargestTables, outsideError, type DataSource } from './probes.ts';
import { whileQuiesced, type Quiesced, type QuiesceSettings } from './quiesce.ts';
import type { Plan } from './plan.ts';
import { belowRoot } from './worthless.ts';

/** Where the data of a snapshot comes from: a plan, or a database that is there already. */
export type SnapshotSource = Pick<
  Plan,
  'name' | 'engine' | 'image' | 'dataPath' | 'volumes' | 'key' | 'keyParts'
> & { readonly target: Pick<Target, 'credentials'> };

/** What only the caller knows of a snapshot. */
export interface SnapshotFacts {
  readonly provenance: Readonly<Record<string, string>>;
  /** Until the seed could begin, and what it took. `null` where no seed has run. */
  readonly initSeconds: number | null;
  readonly seedSeconds: number | null;
}

export interface TakenSnapshot {
  readonly bundle: Bundle<DatabaseManifest>;
  /** Of all volumes, stopping and starting again aside. */
  readonly copySeconds: number;
}

/**
 * Copies the volumes of a database into a new bundle. A database that is stopped for it stays stopped, whatever
 * happens; a paused one goes on.
 * @throws `unclean-shutdown`, `invalid-settings`, `hook-failed`: this must not become a snapshot; `copy-failed`
 */
export async function takeSnapshot(
  tools: Tools,
  source: SnapshotSource,
  database: Pick<DataSource, 'id' | 'endpoint' | 'startedAt' | 'suspended'>,
  settings: QuiesceSettings & Pick<CopySettings, 'compression'>,
  facts: SnapshotFacts,
  signal: AbortSignal,
): Promise<TakenSnapshot> {
  const { engine, dataPath } = source;
  const dir = join(tools.scratchDir, 'saved');
  await mkdir(dir);
  const largestTables = await listLargestTables(tools.runtime, { ...database, engine }, signal);
  let createdAt = new Date(tools.clock.now());
  let copySeconds = 0;
  const quiesced = await whileQuiesced(
    tools,
    { ...database, engine, dataPath, mountPaths: source.volumes.map((each) => each.mountPath) },
    settings,
    async (worthless) => {
      createdAt = new Date(tools.clock.now());
      const startMs = tools.clock.monotonicMs();
      const copied = await copyVolumes(tools, source, worthless, dir, settings.compression, signal);
      copySeconds = secondsSince(tools.clock, startMs);
      return copied;
    },
    signal,
  );
  const manifest = manifestOf(source, quiesced, createdAt, largestTables, facts);
  return { bundle: await writeBundle(dir, manifest), copySeconds };
}

async function copyVolumes(
  tools: Tools,
  source: SnapshotSource,
  worthless: readonly LeftOut[],
  dir: string,
  compression: Compression,
  signal: AbortSignal,
): Promise<DatabaseVolume[]> {
  const volumes: DatabaseVolume[] = [];
  const mountPaths = source.volumes.map((volume) => volume.mountPath);
  for (const { name, volume, mountPath, labels } of source.volumes) {
    const { archived, contents } = await archiveVolume(
      tools,
      name,
      {
        storage: { type: 'volume', source: volume },
        ...{ image: source.image.reference, labels: copyLabels(labels) },
        leaveOut: belowRoot(worthless, source.dataPath, mountPaths, mountPath),
      },
      dir,
      compression,
      signal,
    );
    // Engines that leave no mark of their own cannot tell. A folder may be the mount point of another volume.
    if (name === 'data' && contents.files === 0) {
      throw elsewhereError(`the volume of the database (${mountPath}) is empty`);
    }
    refuseOutwardLinks(contents, mountPath, mountPaths);
    volumes.push({ ...archived, mountPath });
  }
  return volumes;
}

/** What comes with every container of an image: settings, programs, the null device. */
const imageFiles = /^\/(etc|usr)\/|^\/dev\/(null|stdout|stderr)$/;

/** Such as a tablespace, or a write-ahead log, on another disk: the restored server would miss it. */
export function refuseOutwardLinks(
  { farLinks }: VolumeContents,
  mountPath: string,
  mountPaths: readonly string[],
): void {
  for (const { path, target } of farLinks) {
    const reached = posix.resolve(mountPath, posix.dirname(path), target);
    const held = longestPrefix(mountPaths, reached);
    if (held === undefined && !imageFiles.test(reached)) {
      throw outsideError(`what the link ${posix.join(mountPath, path)} leads to, ${reached},`);
    }
  }
}

function manifestOf(
  source: SnapshotSource,
  { copied, consistency, dataVersion, items }: Quiesced<DatabaseVolume[]>,
  createdAt: Date,
  largestTables: readonly LargeTable[],
  { provenance, initSeconds, seedSeconds }: SnapshotFacts,
): DatabaseManifest {
  const { image, target } = source;
  return {
    format: formatVersion,
    kind: 'database',
    key: source.key,
    name: source.name,
    keyParts: [...source.keyParts],
    createdAt: createdAt.toISOString(),
    createdBy,
    engine: {
      ...{ id: source.engine.id, dataVersion, dataPath: source.dataPath, items },
      largestTables: [...largestTables],
    },
    image: manifestImage(image),
    credentials: target.credentials,
    consistency,
    volumes: copied,
    provenance: { ...provenance },
    ...{ initSeconds, seedSeconds },
  };
}

export function manifestImage({
  reference,
  id,
  digest,
  os,
  architecture,
}: ImageFacts): ManifestImage {
  return { reference, id, digest: digest ?? null, os, architecture };
}
