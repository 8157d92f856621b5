import { runLabels } from '../runtime/labels.ts';
import type { ContainerRuntime, Labels } from '../runtime/runtime.ts';

export interface Removed {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
}

/** Removes exactly what one run created. Does nothing when nothing is left. */
export async function removeRun(runtime: ContainerRuntime, run: string): Promise<Removed> {
  return removeLabelled(runtime, runLabels(run));
}

/** Containers first: a volume in use cannot be removed. */
export async function removeLabelled(runtime: ContainerRuntime, labels: Labels): Promise<Removed> {
  const containers = await runtime.listContainers(labels);
  for (const { id } of containers) await runtime.removeContainer(id);
  const volumes = await runtime.listVolumes(labels);
  for (const { name } of volumes) await runtime.removeVolume(name);
  return { containers: containers.map((c) => c.name), volumes: volumes.map((v) => v.name) };
}
