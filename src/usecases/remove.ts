import { messageOf } from '../errors.ts';
import { cloneRunLabels, purposeLabel, purposeLabels, runLabels } from '../runtime/labels.ts';
import type { ContainerRuntime, Labels } from '../runtime/runtime.ts';
import type { Tools } from './context.ts';

export interface Removed {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
}

/** Removes exactly what one run created, and what was cloned from that. Does nothing when nothing is left. */
export async function removeRun(runtime: ContainerRuntime, run: string): Promise<Removed> {
  return removeWithClones(runtime, cloneRunLabels(run), runLabels(run));
}

/** After a failure. The first error is the one to report; what could not be removed is found again by its labels. */
export async function cleanUp(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  run: string,
): Promise<void> {
  try {
    await removeRun(runtime, run);
  } catch (error) {
    log.warn(`could not clean up: ${messageOf(error)}`);
  }
}

/** Clones first: they may be mounted over the volumes of what they were made of. */
export async function removeWithClones(
  runtime: ContainerRuntime,
  ofClones: Labels,
  own: Labels,
): Promise<Removed> {
  const clones = await removeLabelled(runtime, ofClones);
  const rest = await removeLabelled(runtime, own);
  return {
    containers: [...clones.containers, ...rest.containers],
    volumes: [...clones.volumes, ...rest.volumes],
  };
}

/** All that carries the labels. The note of a `start` goes last: until then the rest is found again after a kill. */
export async function removeLabelled(runtime: ContainerRuntime, labels: Labels): Promise<Removed> {
  const removed = await removeMade(runtime, labels);
  await forgetStarting(runtime, labels);
  return removed;
}

/** The same for a `start` that goes on: its note stays. */
export async function removeMade(runtime: ContainerRuntime, labels: Labels): Promise<Removed> {
  const containers = await runtime.listContainers(labels);
  // Containers first: a volume in use cannot be removed.
  for (const { id } of containers) await runtime.removeContainer(id);
  const volumes = (await runtime.listVolumes(labels)).filter(
    (volume) => volume.labels[purposeLabel] !== 'starting',
  );
  const names = volumes.map(({ name }) => name).sort(); // the engine has them in no order
  for (const name of names) await runtime.removeVolume(name);
  return { containers: containers.map((c) => c.name), volumes: names };
}

/** Removes the note of a `start`. By its labels: by now one of the same name may be another run's. */
export async function forgetStarting(runtime: ContainerRuntime, labels: Labels): Promise<void> {
  const notes = await runtime.listVolumes({ ...labels, ...purposeLabels('starting') });
  for (const { name } of notes) await runtime.removeVolume(name);
}
