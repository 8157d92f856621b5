import { rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { CleanUp } from '../aftermath.ts';
import { AppError } from '../errors.ts';
import { thisProcess } from '../process-identity.ts';
import { makerLabel, purposeLabels, taskLabels, workLabel, workOf } from '../runtime/labels.ts';
import type { ContainerRuntime, VolumeInfo } from '../runtime/runtime.ts';
import { discardStaging, finishStaging } from '../runtime/staging.ts';
import type { CopyTarget } from '../runtime/volume-copier.ts';
import type { Tools } from './context.ts';
import { removeLabelled } from './remove.ts';
import { overlaps } from './writers.ts';

/** What was there already, or is made when it is filled; its new content is put beside the old one. */
export interface Staged {
  readonly target: CopyTarget;
  /** A folder of the host that is not there yet: the first part of its path that has to be made. */
  readonly missing?: string;
}

/**
 * A restore that is not done: what must be undone when it fails or its process is killed. Noted in the engine itself, as
 * a suspension is, before anything is made.
 */
export interface Restoring {
  readonly task: string;
  readonly staged: readonly Staged[];
}

const noteName = (task: string): string => `snapvol-restoring-${task}`;
const commitName = (task: string): string => `snapvol-committed-${task}`;

export async function noteRestoring(
  runtime: ContainerRuntime,
  restoring: Restoring,
): Promise<void> {
  await runtime.createVolume(noteName(restoring.task), {
    ...purposeLabels('restoring'),
    [makerLabel]: thisProcess(),
    [workLabel]: JSON.stringify(restoring),
  });
}

/**
 * To be asked after `noteRestoring`, so that of two that begin at once not both go on.
 * @throws `volume-taken` when another restore is filling one of the same volumes or folders
 */
export async function requireAlone(
  runtime: ContainerRuntime,
  { task, staged }: Restoring,
): Promise<void> {
  for (const note of await runtime.listVolumes(purposeLabels('restoring'))) {
    const other = readRestoring(note);
    if (other.task === task) continue;
    const both = staged.find(({ target }) =>
      other.staged.some((each) => overlaps(each.target.storage, target.storage)),
    );
    if (!both) continue;
    throw new AppError(
      'volume-taken',
      `${both.target.storage.source} is being restored by another process`,
      { hint: 'Wait for it; when there is none any more, run "snapvol recover --force"' },
    );
  }
}

export function readRestoring(note: VolumeInfo): Restoring {
  return workOf(note) as Restoring; // written by noteRestoring; labels of a volume never change
}

/** From now on the restore is gone on with, and not undone any more: one step for all volumes. */
export async function commit(
  runtime: ContainerRuntime,
  { task, staged }: Restoring,
): Promise<void> {
  // Without old contents there is nothing to change places with: forgetting the note is the step.
  if (staged.length === 0) return;
  await runtime.createVolume(commitName(task), {
    ...purposeLabels('committed'),
    [makerLabel]: thisProcess(),
  });
}

export async function isCommitted(
  runtime: ContainerRuntime,
  { task }: Restoring,
): Promise<boolean> {
  return (await runtime.findVolume(commitName(task))) !== undefined;
}

/** After `commit`; may be called again. @throws `copy-failed` */
export async function finish(
  { runtime }: Pick<Tools, 'runtime'>,
  { task, staged }: Restoring,
): Promise<void> {
  const steps = new CleanUp();
  for (const { target } of staged)
    await steps.attempt(target.storage.source, () => finishStaging(runtime, target, task));
  try {
    steps.end();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, `${error.message}; old and new content are both still there`, {
      cause: error,
      hint: 'When the cause is removed, "snapvol recover" goes on with it',
      details: error.details,
    });
  }
  // In this order: a note without the commit would be undone.
  await runtime.removeVolume(noteName(task));
  await runtime.removeVolume(commitName(task));
}

/** Removes what the restore has made; what was there before is as it was. */
export async function rollBack(
  { runtime }: Pick<Tools, 'runtime'>,
  { task, staged }: Restoring,
): Promise<void> {
  const cleanUp = new CleanUp();
  await cleanUp.attempt('what it has made', () => removeLabelled(runtime, taskLabels(task)));
  for (const { target, missing } of staged) {
    const { source } = target.storage;
    if (missing !== undefined && !(await isFolder(source))) continue;
    await cleanUp.attempt(source, async () => {
      await discardStaging(runtime, target, task);
      if (missing !== undefined) await removeEmptyFolders(source, missing);
    });
  }
  cleanUp.end(); // the note stays where something is left: "recover" goes on with it
  await runtime.removeVolume(noteName(task));
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** `folder`, and those around it up to `first`, unless somebody has put something there. */
async function removeEmptyFolders(folder: string, first: string): Promise<void> {
  for (let each = folder; each.startsWith(first); each = dirname(each)) {
    try {
      await rmdir(each);
    } catch {
      return;
    }
  }
}
