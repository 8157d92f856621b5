import { withAftermath } from '../aftermath.ts';
import type { ContainerRuntime, ContainerSpec } from './runtime.ts';

/** A container that is created to look into its mounts, never started, and removed. */
export async function withIdleContainer<T>(
  runtime: ContainerRuntime,
  spec: Pick<ContainerSpec, 'name' | 'image' | 'labels' | 'mounts'>,
  work: (id: string) => Promise<T>,
): Promise<T> {
  const id = await runtime.createContainer({ ...spec, entrypoint: ['never-started'] });
  return withAftermath(
    undefined,
    () => work(id),
    () => runtime.removeContainer(id),
  );
}
