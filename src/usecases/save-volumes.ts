import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import type { Credentials } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { copyLabels } from '../runtime/labels.ts';
import type { ContainerState } from '../runtime/runtime.ts';
import type { Storage } from '../runtime/volume-copier.ts';
import type { CopySettings } from '../settings.ts';
import { writeBundle, type Bundle } from '../snapshot/bundle.ts';
import {
  formatVersion,
  type KeptVolume,
  type LeftOut,
  type VolumesManifest,
  type Writer,
} from '../snapshot/manifest.ts';
import { createdBy } from '../version.ts';
import { archiveVolume } from './archive.ts';
import type { StoreTools, Tools } from './context.ts';
import {
  describeSaved,
  requireKeyFree,
  storeBundle,
  type Destination,
  type SavedSnapshot,
  type SaveSeconds,
} from './destination.ts';
import type { ChangedPort } from './go-on.ts';
import { helperImages, type HelperImages } from './helper-images.ts';
import { refuseOrchestrated } from './orchestrators.ts';
import { refusePaused, refuseUnstoppable } from './quiesce.ts';
import { quiesceWriters, type Worthless } from './quiesce-writers.ts';
import { resolveSources, type Source, type SourceRequest } from './sources.ts';
import { withScriptsIn } from './scripts.ts';
import { refuseOutwardLinks } from './take.ts';
import { belowRoot } from './worthless.ts';
import {
  allowUncleanEnd,
  describeWriter,
  findAllowed,
  findEnded,
  findJoined,
  findWriters,
  overlaps,
  refuseNewWriters,
  uses,
  type VolumeWriter,
} from './writers.ts';

export interface SaveVolumesRequest extends SourceRequest, Destination {
  /** Of the snapshot. */
  readonly name: string;
  /** Of the helper containers that copy, where no container tells; `undefined`: the archive API does without. */
  readonly image: string | undefined;
  /** Where the containers' own environment does not tell. */
  readonly login: Partial<Credentials>;
  /** Names of containers, or services of compose, whose exit code does not count. */
  readonly allowUnclean: readonly string[];
  readonly settings: Omit<CopySettings, 'key' | 'store' | 'copy'>;
  readonly provenance: Readonly<Record<string, string>>;
}

export interface SavedVolume {
  readonly name: string;
  /** Volume or folder. */
  readonly source: string;
  readonly mountPath: string | null;
  readonly sizeBytes: number;
}

export interface SaveVolumesReport {
  readonly key: string;
  readonly store: string;
  readonly name: string;
  readonly volumes: readonly SavedVolume[];
  readonly writers: readonly Writer[];
  readonly changedPorts: readonly ChangedPort[];
  readonly snapshot: SavedSnapshot;
  readonly seconds: SaveSeconds;
}

/**
 * Saves volumes that are there already, as one snapshot of one moment: every running container that writes to any of them
 * is stopped first, each before what it needs, and goes on afterwards, whatever happened in between.
 * @throws `invalid-settings`, `container-missing`, `volume-missing`; `name-taken` for a key that has a snapshot;
 *   `unclean-shutdown`, `copy-failed`; `container-unhealthy` when a container does not come back; `store-unavailable`
 */
export async function saveVolumes(
  given: StoreTools,
  request: SaveVolumesRequest,
  signal: AbortSignal,
): Promise<SaveVolumesReport> {
  const tools = withScriptsIn(given, request.settings.workingDirectory);
  const { runtime, store, log, clock } = tools;
  const startMs = clock.monotonicMs();
  await requireKeyFree(store, request, signal);
  const containers = await runtime.listContainers({}, signal);
  await using images = helperImages(tools, randomUUID(), signal);
  const sources = await resolveSources({ runtime, log, containers, images, signal }, request);
  const storages = sources.map(({ storage }) => storage);
  const writers = await describeAll(tools, request, containers, storages, signal);
  const snapshotMs = clock.monotonicMs();
  const { bundle, changedPorts } = await log.group(`Snapshot ${request.name}`, () =>
    takeSnapshot(tools, request, { sources, containers, writers }, images, signal),
  );
  const snapshotSeconds = secondsSince(clock, snapshotMs);
  for (const { container, port, before, after } of changedPorts) {
    log.warn(`port ${port} of ${container} was published at ${before}, and now at ${after}`);
  }
  await storeBundle(tools, request, bundle.dir, signal);
  const { manifest } = bundle;
  return {
    ...{ key: request.key, store: store.name, name: request.name },
    volumes: manifest.volumes.map(({ name, mountPath, tarBytes }, i) => ({
      ...{ name, mountPath, source: storages[i]?.source ?? name, sizeBytes: tarBytes },
    })),
    writers: manifest.writers,
    changedPorts,
    snapshot: await describeSaved(bundle),
    seconds: { snapshot: snapshotSeconds, total: secondsSince(clock, startMs) },
  };
}

/** All that write, in the order in which they are to be stopped; ended databases come last. Nothing is touched yet. */
async function describeAll(
  { runtime, log }: Tools,
  { settings, login, allowUnclean, composeProject }: SaveVolumesRequest,
  containers: readonly ContainerState[],
  storages: readonly Storage[],
  signal: AbortSignal,
): Promise<VolumeWriter[]> {
  const running = findWriters(containers, storages);
  const unclean = findAllowed(containers, allowUnclean, composeProject);
  if (settings.quiesce !== 'none') {
    for (const each of running) {
      const written = storages.filter((storage) => uses(each, [storage]));
      refuseOrchestrated(each, written);
    }
  }
  const writers: VolumeWriter[] = [];
  for (const each of running) {
    refusePaused(each);
    const writer = await describeWriter(runtime, each, storages, login, signal);
    writers.push(unclean.includes(each) ? allowUncleanEnd(writer) : writer);
  }
  if (settings.quiesce === 'stop') {
    for (const { container, target } of writers) refuseUnstoppable(container, target.engine);
    for (const { name } of findJoined(containers, running)) {
      log.warn(
        `${name} shares the network or processes of a container that is stopped: restart it afterwards`,
      );
    }
  }
  for (const each of findEnded(containers, storages, running)) {
    const ended = await describeWriter(runtime, each, storages, login, signal);
    if (ended.target.engine.id !== 'generic') writers.push(ended);
  }
  return writers;
}

interface Scene {
  readonly sources: readonly Source[];
  readonly containers: readonly ContainerState[];
  readonly writers: readonly VolumeWriter[];
}

async function takeSnapshot(
  tools: Tools,
  request: SaveVolumesRequest,
  scene: Scene,
  images: HelperImages,
  signal: AbortSignal,
): Promise<{
  readonly bundle: Bundle<VolumesManifest>;
  readonly changedPorts: readonly ChangedPort[];
}> {
  const { runtime, clock, scratchDir } = tools;
  const dir = join(scratchDir, 'saved');
  await mkdir(dir);
  let createdAtMs = clock.now();
  const storages = scene.sources.map(({ storage }) => storage);
  const quiesced = await quiesceWriters(
    tools,
    { ...scene, storages },
    request.settings,
    async (worthless) => {
      createdAtMs = clock.now();
      const copied = await copyAll(tools, request, scene, worthless, images, dir, signal);
      if (request.settings.quiesce !== 'none') {
        await refuseNewWriters(runtime, scene.containers, storages, signal);
      }
      return copied;
    },
    signal,
  );
  const manifest: VolumesManifest = {
    ...{ format: formatVersion, kind: 'volumes', key: request.key, name: request.name },
    keyParts: [],
    createdAt: new Date(createdAtMs).toISOString(),
    createdBy,
    architecture: (await runtime.info()).architecture,
    writers: quiesced.writers,
    volumes: quiesced.copied,
    provenance: { ...request.provenance },
  };
  return { bundle: await writeBundle(dir, manifest), changedPorts: quiesced.changedPorts };
}

async function copyAll(
  tools: Tools,
  { image, settings }: SaveVolumesRequest,
  { sources, containers, writers }: Scene,
  worthless: Worthless,
  images: HelperImages,
  dir: string,
  signal: AbortSignal,
): Promise<KeptVolume[]> {
  const { log } = tools;
  const volumes: KeptVolume[] = [];
  for (const { name, storage, origin } of sources) {
    const users = knownFirst(writers, containers).filter((each) => uses(each, [storage]));
    const target = {
      storage,
      image: await images.choose([image, ...users.slice(0, 1).map((user) => user.imageId)]),
      labels: copyLabels({}),
      leaveOut: leftOutOf(storage, writers, worthless),
    };
    const { archived, contents } = await archiveVolume(
      tools,
      name,
      target,
      dir,
      settings.compression,
      signal,
    );
    const mountPath = mountedAt(users, storage);
    const database = writers.find(
      ({ container, target: { engine } }) => engine.id !== 'generic' && uses(container, [storage]),
    );
    if (database && mountPath !== null) {
      refuseOutwardLinks(contents, mountPath, database.target.mountPaths);
    }
    if (contents.files === 0) log.info(`volume ${name}: it holds no file`);
    volumes.push({ ...archived, origin, mountPath, image: users[0]?.image ?? null });
  }
  if (volumes.every(({ entries }) => entries <= 1)) {
    throw new AppError('unclean-shutdown', 'all volumes are empty: it would be an empty snapshot', {
      hint: 'Look whether the data is in another volume: "docker inspect" shows what a container has mounted',
    });
  }
  return volumes;
}

/** Where nobody else writes to it, and its database has all of it mounted: patterns are below the root of a volume. */
function leftOutOf(
  storage: Storage,
  writers: readonly VolumeWriter[],
  worthless: Worthless,
): LeftOut[] {
  const [writer, ...others] = writers.filter(({ container }) => uses(container, [storage]));
  if (!writer || others.length > 0) return [];
  const { mounts } = writer.container;
  const whole = mounts.find(
    ({ type, source, partial }) =>
      type === storage.type && source === storage.source && partial !== true,
  );
  const mountPaths = mounts.map(({ target }) => target);
  const { dataPath } = writer.target;
  return whole ? belowRoot(worthless.get(writer) ?? [], dataPath, mountPaths, whole.target) : [];
}

/** A database tells more of its volume than whoever has it mounted as well. */
function knownFirst(
  writers: readonly VolumeWriter[],
  containers: readonly ContainerState[],
): ContainerState[] {
  const databases = writers.filter(({ target }) => target.engine.id !== 'generic');
  return [...[...databases, ...writers].map(({ container }) => container), ...containers];
}

function mountedAt(users: readonly ContainerState[], storage: Storage): string | null {
  const mounts = users.flatMap((user) => user.mounts);
  // A folder may be mounted in part only: then nobody has all of it anywhere.
  const whole = mounts.find((mount) => overlaps(mount, storage) && mount.source === storage.source);
  return whole?.target ?? null;
}
