import { nameLabels, type Owner } from '../runtime/labels.ts';
import type { Tools } from './context.ts';
import { removeLabelled, type Removed } from './remove.ts';
import { notStarted } from './started.ts';

/**
 * Removes a database that was started under this name: its container and its volumes, with all that is in them, found
 * by their labels. Snapshots stay, and so do volumes made by `restore`: those carry no name.
 * @throws `container-missing` when there is nothing of this name
 */
export async function stop(
  { runtime }: Pick<Tools, 'runtime'>,
  owner: Pick<Owner, 'scope' | 'name'>,
): Promise<Removed> {
  const removed = await removeLabelled(runtime, nameLabels(owner.scope, owner.name));
  if (removed.containers.length + removed.volumes.length > 0) return removed;
  throw await notStarted(runtime, owner);
}
