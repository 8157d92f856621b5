import { CleanUp, warnOf } from '../aftermath.ts';
import { cloneRunLabels, purposeLabel, purposeLabels, runLabels } from '../runtime/labels.ts';
import type { ContainerRuntime, Labels } from '../runtime/runtime.ts';
import type { Tools } from './context.ts';

export interface Removed {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
}

// Each thing is removed on its own: one that cannot be leaves no other one behind. All errors are told together.

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
    warnOf(log, error, 'could not clean up: ');
  }
}

/** Clones first: they may be mounted over the volumes of what they were made of. */
export async function removeWithClones(
  runtime: ContainerRuntime,
  ofClones: Labels,
  own: Labels,
): Promise<Removed> {
  return removeAll(runtime, [ofClones, own]);
}

/** All that carries the labels. */
export async function removeLabelled(runtime: ContainerRuntime, labels: Labels): Promise<Removed> {
  return removeAll(runtime, [labels]);
}

/** The note of a `start` goes last, and only then: until all is gone, the rest is found again by it. */
async function removeAll(runtime: ContainerRuntime, groups: readonly Labels[]): Promise<Removed> {
  const cleanUp = new CleanUp();
  const removed: Removed[] = [];
  for (const labels of groups) {
    removed.push(await removeInto(cleanUp, runtime, labels));
    if (cleanUp.isWhole)
      await cleanUp.attempt('the note of a start', () => forgetStarting(runtime, labels));
  }
  cleanUp.end();
  return {
    containers: removed.flatMap(({ containers }) => containers),
    volumes: removed.flatMap(({ volumes }) => volumes),
  };
}

/** The same for a `start` that goes on: its note stays. */
export async function removeMade(runtime: ContainerRuntime, labels: Labels): Promise<Removed> {
  const cleanUp = new CleanUp();
  const removed = await removeInto(cleanUp, runtime, labels);
  cleanUp.end();
  return removed;
}

async function removeInto(
  cleanUp: CleanUp,
  runtime: ContainerRuntime,
  labels: Labels,
): Promise<Removed> {
  const removed = { containers: [] as string[], volumes: [] as string[] };
  // Both are looked for before anything is removed: should the engine go away, the error can say what is left.
  const containers =
    (await cleanUp.attempt('its containers', () => runtime.listContainers(labels))) ?? [];
  const volumes = (await cleanUp.attempt('its volumes', () => runtime.listVolumes(labels))) ?? [];
  // Containers first: a volume in use cannot be removed.
  for (const { id, name } of containers) {
    await cleanUp.attempt(`the container ${name}`, async () => {
      await runtime.removeContainer(id);
      removed.containers.push(name);
    });
  }
  const names = volumes
    .filter((volume) => volume.labels[purposeLabel] !== 'starting')
    .map(({ name }) => name)
    .sort(); // the engine has them in no order
  for (const name of names) {
    await cleanUp.attempt(`the volume ${name}`, async () => {
      await runtime.removeVolume(name);
      removed.volumes.push(name);
    });
  }
  return removed;
}

/** Removes the note of a `start`. By its labels: by now one of the same name may be another run's. */
export async function forgetStarting(runtime: ContainerRuntime, labels: Labels): Promise<void> {
  const notes = await runtime.listVolumes({ ...labels, ...purposeLabels('starting') });
  for (const { name } of notes) await runtime.removeVolume(name);
}
