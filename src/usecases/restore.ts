import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { engineLabel, restoredLabels, volumeNameLabel } from '../runtime/labels.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import { architectureOf, engineNames, imageNames, writersOf } from '../snapshot/contents.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { StoreTools } from './context.ts';
import type { PlannedVolume } from './plan.ts';
import { restoreVolumes } from './fill.ts';
import { loadBundle } from './search.ts';
import { findSnapshot, snapshotGone } from './stored.ts';

export interface RestoreRequest {
  /** Of the snapshot, or the beginning of it that no other key has. */
  readonly key: string;
  /** Name of the new volume for the database's own data; further volumes get `VOLUME-<name>`. */
  readonly volume: string;
  /** Of the helper container that copies; `undefined`: the image that the snapshot was made with. */
  readonly image: string | undefined;
  readonly scope: string;
}

export interface RestoreReport {
  readonly key: string;
  readonly store: string;
  readonly digest: string;
  readonly engine: string;
  readonly image: string;
  readonly volumes: readonly RestoredVolume[];
  readonly seconds: { readonly total: number };
}

export interface RestoredVolume {
  readonly name: string;
  readonly volume: string;
  /** Where the volume was mounted in the database that was saved. */
  readonly mountPath: string;
  readonly sizeBytes: number;
}

/**
 * Makes new volumes with what a snapshot holds. All or nothing: after a failure there is none of them. A volume that
 * exists is left as it is. The new volumes belong to the user: they are labelled as restored, without a name, so that
 * neither `stop` nor any cleaning up ever removes them.
 * @throws `snapshot-missing`, `volume-taken`, `snapshot-corrupt`, `copy-failed`, `image-unavailable`
 */
export async function restore(
  tools: StoreTools,
  request: RestoreRequest,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const { runtime, store, log, clock } = tools;
  const startMs = clock.now();
  requireVolumeName(request.volume);
  const found = await findSnapshot(store, request.key, signal);
  // Known already without the snapshot, which may take long to load.
  await requireVolumeFree(runtime, request.volume, signal);
  const bundle = await loadBundle(tools, found, signal);
  if (!bundle) throw snapshotGone(found.key);
  const { manifest, digest } = bundle;
  const volumes = plannedVolumes(bundle, request);
  for (const { volume } of volumes) await requireVolumeFree(runtime, volume, signal);

  const reference = request.image ?? writersOf(manifest)[0]?.image.reference ?? '';
  const image = await runtime.ensureImage(reference, signal, () => {
    log.info(`pulling ${reference}`);
  });
  if (image.architecture !== architectureOf(manifest)) {
    log.warn(
      `the snapshot was made on ${architectureOf(manifest)}, ${reference} is for ${image.architecture}`,
    );
  }
  await log.group(`Restore ${manifest.key}`, () =>
    restoreVolumes(tools, bundle, volumes, reference, signal),
  );
  return {
    key: manifest.key,
    store: store.name,
    digest,
    engine: engineNames(manifest),
    image: imageNames(manifest),
    volumes: volumes.map(({ name, volume, mountPath }) => ({
      name,
      volume,
      mountPath,
      sizeBytes: manifest.volumes.find((each) => each.name === name)?.tarBytes ?? 0,
    })),
    seconds: { total: secondsSince(clock, startMs) },
  };
}

function plannedVolumes(
  { manifest }: Bundle,
  { volume, scope }: RestoreRequest,
): readonly PlannedVolume[] {
  return manifest.volumes.map(({ name, mountPath }) => ({
    name,
    mountPath: mountPath ?? '',
    volume: name === 'data' ? volume : `${volume}-${name}`,
    labels: {
      ...restoredLabels(scope, manifest.key),
      [volumeNameLabel]: name,
      [engineLabel]: engineNames(manifest),
    },
  }));
}

function requireVolumeName(name: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,200}$/.test(name)) return;
  throw new AppError('invalid-settings', `"${name}" cannot be the name of a volume`, {
    hint: 'Use two or more of letters, digits, ".", "_", "-", and begin with a letter or digit',
  });
}

async function requireVolumeFree(
  runtime: ContainerRuntime,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  if (!(await runtime.findVolume(name, signal))) return;
  throw new AppError('volume-taken', `a volume named ${name} already exists`, {
    hint: 'It is left as it is. Choose another name, or remove it yourself with "docker volume rm"',
  });
}
