import { randomUUID } from 'node:crypto';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { refusal, type Acceptance } from '../snapshot/acceptance.ts';
import { architectureOf, engineNames, imageNames } from '../snapshot/contents.ts';
import type { Manifest } from '../snapshot/manifest.ts';
import { sizeProblem } from '../snapshot/max-size.ts';
import type { Found } from '../stores/store.ts';
import type { StoreTools, Tools } from './context.ts';
import { helperImages } from './helper-images.ts';
import { replaceAll } from './replace.ts';
import { planTargets, type RestoreWishes } from './restore-targets.ts';
import { loadBundle } from './search.ts';
import { snapshotGone } from './stored.ts';

export interface RestoreRequest extends RestoreWishes {
  /** Replace what is in volumes and folders that hold something. */
  readonly overwrite: boolean;
  /** Of the helper container that copies; `undefined`: the images that the snapshot was made with. */
  readonly image: string | undefined;
  /** That all volumes may unpack to, holes of files counted. */
  readonly maxBytes: number;
  readonly scope: string;
  readonly acceptance: Acceptance;
}

export interface RestoreReport {
  readonly key: string;
  readonly store: string;
  readonly digest: string;
  readonly name: string;
  readonly engine: string;
  readonly image: string;
  readonly volumes: readonly RestoredVolume[];
  /** `restore`: to fill the volumes, without the way from the store. */
  readonly seconds: { readonly restore: number; readonly total: number };
}

export interface RestoredVolume {
  readonly name: string;
  /** The volume, or the folder of the host, that was filled. */
  readonly volume: string;
  /** Where it was mounted when it was saved; `null` where nobody knows. */
  readonly mountPath: string | null;
  readonly sizeBytes: number;
}

/**
 * Fills volumes with what a snapshot holds. All or nothing: after a failure no new one is left, and those that were there
 * hold what they held. New volumes belong to the user: neither `stop` nor any cleaning up ever removes them.
 * @throws `snapshot-missing` when it has gone since it was found; `snapshot-refused`; `invalid-settings`; `volume-taken`
 *   for one that holds something or is in use; `snapshot-corrupt`, `snapshot-incompatible` for more than `maxBytes`,
 *   `copy-failed`
 */
export async function restore(
  tools: StoreTools,
  found: Found,
  request: RestoreRequest,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const { store, log, clock } = tools;
  const startMs = clock.monotonicMs();
  const bundle = await loadBundle(tools, found, signal);
  if (!bundle) throw snapshotGone(found.key);
  const refused = refusal(bundle, request.acceptance);
  if (refused !== undefined) {
    throw new AppError('snapshot-refused', `the snapshot ${found.key} is refused: ${refused}`);
  }
  const { manifest, digest } = bundle;
  const problem = sizeProblem(manifest, request.maxBytes);
  if (problem) throw problem;
  const targets = planTargets(manifest, request);
  await warnOfArchitecture(tools, manifest);
  const task = { id: randomUUID(), key: manifest.key, scope: request.scope };
  await using images = helperImages(tools, task.id, signal);
  const restoreMs = clock.monotonicMs();
  await log.group(`Restore ${manifest.key}`, () =>
    replaceAll(tools, bundle, targets, request, task, images, signal),
  );
  const restoreSeconds = secondsSince(clock, restoreMs);
  return {
    ...{ key: manifest.key, store: store.name, digest, name: manifest.name },
    engine: engineNames(manifest),
    image: imageNames(manifest),
    volumes: targets.map(({ name, storage, mountPath }) => ({
      ...{ name, mountPath, volume: storage.source },
      sizeBytes: manifest.volumes.find((each) => each.name === name)?.tarBytes ?? 0,
    })),
    seconds: { restore: restoreSeconds, total: secondsSince(clock, startMs) },
  };
}

async function warnOfArchitecture({ runtime, log }: Tools, manifest: Manifest): Promise<void> {
  const { architecture: here } = await runtime.info();
  const made = architectureOf(manifest);
  if (made === null || goName(made) === goName(here)) return;
  log.warn(`the snapshot was made on ${made}, and this engine runs on ${here}`);
}

/** The engine says of itself what uname says, of images what Go says. */
function goName(architecture: string): string {
  return { x86_64: 'amd64', aarch64: 'arm64' }[architecture] ?? architecture;
}
