import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { AppError, messageOf, systemCodeOf } from '../errors.ts';
import { makeFolder } from '../paths.ts';
import { isFresh } from '../runtime/fresh.ts';
import { requireSeen, requireShared } from '../runtime/host-folder.ts';
import {
  copyLabels,
  goldenLabel,
  nameLabel,
  restoredLabels,
  taskLabels,
  volumeNameLabel,
} from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';
import { prepareStaging, stagedFolder } from '../runtime/staging.ts';
import type { CopyTarget, Storage } from '../runtime/volume-copier.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { Tools } from './context.ts';
import { fillVolume } from './fill.ts';
import type { HelperImages } from './helper-images.ts';
import { stopCommand } from './orchestrators.ts';
import type { RestoreTarget } from './restore-targets.ts';
import {
  commit,
  finish,
  noteRestoring,
  requireAlone,
  rollBack,
  type Restoring,
} from './restoring.ts';
import { uses } from './writers.ts';

/** One `restore`. */
export interface RestoreTask {
  readonly id: string;
  readonly key: string;
  readonly scope: string;
}

/** As in `RestoreRequest`. */
interface ReplaceWishes {
  readonly overwrite: boolean;
  readonly image: string | undefined;
  readonly maxBytes: number;
}

interface Placed {
  readonly target: RestoreTarget;
  readonly copy: CopyTarget;
  /** What is there already. A folder of the host that is missing is made; `missing`: from where on. */
  readonly there: 'nothing' | 'content' | { readonly missing: string };
  /** A folder of this machine. */
  readonly isHere: boolean;
}

/**
 * Fills all targets, or leaves all as they were. New volumes are made; the others are filled in a hidden folder, and when
 * all archives have turned out whole, new and old content change places.
 * @throws `volume-taken`, `invalid-settings`, `snapshot-corrupt`, `snapshot-incompatible`, `copy-failed`
 */
export async function replaceAll(
  tools: Tools,
  bundle: Bundle,
  targets: readonly RestoreTarget[],
  { overwrite, image, maxBytes }: ReplaceWishes,
  task: RestoreTask,
  images: HelperImages,
  signal: AbortSignal,
): Promise<void> {
  const { runtime, log } = tools;
  const containers = await runtime.listContainers({}, signal);
  const placed: Placed[] = [];
  for (const target of targets) {
    placed.push(await place(tools, target, containers, image, task, images, signal));
  }
  for (const each of placed) {
    await requireFree(tools, each, containers, overwrite, signal);
  }
  const restoring: Restoring = {
    task: task.id,
    staged: placed.flatMap(({ copy, there }) =>
      there === 'nothing'
        ? []
        : [{ target: copy, ...(there !== 'content' && { missing: there.missing }) }],
    ),
  };
  await noteRestoring(runtime, restoring);
  try {
    await requireAlone(runtime, restoring);
    let leftBytes = maxBytes;
    for (const each of placed) {
      leftBytes -= await fillOne(tools, bundle, each, task, leftBytes, signal);
    }
    signal.throwIfAborted();
  } catch (error) {
    await rollBack(tools, restoring).catch((second: unknown) => {
      log.warn(`could not clean up: ${messageOf(second)}; "snapvol recover" tries again`);
    });
    throw error;
  }
  await commit(runtime, restoring);
  await finish(tools, restoring);
}

async function place(
  { runtime }: Tools,
  target: RestoreTarget,
  containers: readonly ContainerState[],
  image: string | undefined,
  task: RestoreTask,
  images: HelperImages,
  signal: AbortSignal,
): Promise<Placed> {
  const { storage } = target;
  const isHere = storage.type === 'bind' && (await runtime.info()).mayShareFolders;
  const there = isHere
    ? await lookAtFolder(storage.source)
    : await askEngine(runtime, storage, signal);
  const users = containers.filter((container) => uses(container, [storage]));
  const running = users.find((container) => container.running);
  if (running) {
    throw new AppError(
      'volume-taken',
      `${storage.source} is in use by the container ${running.name}`,
      {
        hint: `Stop it first: "${stopCommand(running)}"`,
      },
    );
  }
  await refuseGolden(runtime, storage, signal);
  // Its own user's before one that only the snapshot names: that runs with all of the content before it.
  const helper = await images.choose([image, users[0]?.imageId], target.image);
  const labels = { ...copyLabels({}), ...taskLabels(task.id) };
  const copy = { storage, image: helper, labels };
  if (isHere) {
    // Of a folder that is missing, the one that it will be made in.
    const source = typeof there === 'string' ? storage.source : dirname(there.missing);
    await requireShared(runtime, { ...copy, storage: { ...storage, source } }, signal);
  }
  return { target, there, copy, isHere };
}

/** An overlay shows a volume that no container has mounted by its name. @throws `volume-taken` */
async function refuseGolden(
  runtime: ContainerRuntime,
  { type, source }: Storage,
  signal: AbortSignal,
): Promise<void> {
  if (type !== 'volume') return;
  const [clone] = await runtime.listVolumes({ [goldenLabel]: source }, signal);
  if (!clone) return;
  const name = clone.labels[nameLabel] ?? clone.name;
  throw new AppError('volume-taken', `${source} is what the database ${name} was made of`, {
    hint: `Stop it first: "snapvol stop ${name}"`,
  });
}

async function askEngine(
  runtime: ContainerRuntime,
  { type, source }: Storage,
  signal: AbortSignal,
): Promise<'nothing' | 'content'> {
  // A folder of another machine: the engine there tells, when it is mounted.
  if (type === 'bind') return 'content';
  return (await runtime.findVolume(source, signal)) ? 'content' : 'nothing';
}

/** @throws `invalid-settings` for a path that is no folder */
async function lookAtFolder(folder: string): Promise<Exclude<Placed['there'], 'nothing'>> {
  for (let path = folder, missing: string | undefined; ; missing = path, path = dirname(path)) {
    const stats = await stat(path).catch((error: unknown) => {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw cannotUse(folder, error);
    });
    if (!stats) continue;
    if (!stats.isDirectory()) throw new AppError('invalid-settings', `${path} is no folder`);
    return missing === undefined ? 'content' : { missing };
  }
}

function cannotUse(folder: string, cause: unknown): AppError {
  return new AppError('copy-failed', `cannot use the folder ${folder}: ${messageOf(cause)}`, {
    cause,
    hint: 'Choose one that you may write to, with "rename"',
  });
}

/** @throws `volume-taken` for one that holds more than the engine has put there, unless it may be overwritten */
async function requireFree(
  { runtime, log }: Tools,
  { target, copy, there }: Placed,
  containers: readonly ContainerState[],
  overwrite: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (there !== 'content') return;
  const { source } = copy.storage;
  // What the engine puts there comes from the image of whoever has it mounted.
  const users = containers.filter((container) => uses(container, [copy.storage]));
  const candidates = [
    { image: copy.image, at: target.mountPath },
    ...users.map(({ imageId, mounts }) => ({
      image: imageId,
      at: mounts.find((mount) => mount.source === source)?.target ?? null,
    })),
  ];
  for (const { image, at } of candidates) {
    if (await isFresh(runtime, { ...copy, image }, at, signal)) return;
  }
  if (!overwrite) {
    throw new AppError('volume-taken', `${source} exists and is not empty`, {
      hint: 'It is left as it is. Choose another name with "rename", or set "overwrite" to replace what it holds',
    });
  }
  log.info(`${source} is not empty: its content is replaced when all of the new one is there`);
}

/** How much it unpacked to. */
async function fillOne(
  tools: Tools,
  bundle: Bundle,
  { target, copy, there, isHere }: Placed,
  task: RestoreTask,
  maxBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const { runtime } = tools;
  const { name, labels, driver, mountPath } = target;
  signal.throwIfAborted();
  if (there !== 'nothing') {
    const { source: folder } = copy.storage;
    if (there !== 'content') {
      await makeFolder(folder).catch((error: unknown) => {
        throw cannotUse(folder, error);
      });
    }
    await prepareStaging(runtime, copy, task.id);
    if (isHere) await requireSeen(folder, stagedFolder(task.id));
    const into = { ...copy, folder: stagedFolder(task.id) };
    return fillVolume(tools, bundle, name, into, maxBytes, signal);
  }
  const { source } = copy.storage;
  const own = restoredLabels(task.scope, task.key);
  await runtime.createVolume(
    source,
    { ...labels, ...own, ...taskLabels(task.id), [volumeNameLabel]: name },
    signal,
    driver,
  );
  // With options it may be a folder or a file system that was there already.
  const isEmpty =
    Object.keys(driver?.options ?? {}).length === 0 ||
    (await isFresh(runtime, copy, mountPath, signal));
  if (!isEmpty) {
    throw new AppError('volume-taken', `what the volume ${source} stands for is not empty`, {
      hint: 'Make it yourself, and set "overwrite" to replace what it holds',
    });
  }
  return fillVolume(tools, bundle, name, copy, maxBytes, signal);
}
