import { AppError } from '../errors.ts';
import { stateOf } from '../process-identity.ts';
import {
  cloneLabels,
  makerLabel,
  nameLabels,
  purposeLabels,
  type Owner,
} from '../runtime/labels.ts';
import type { Tools } from './context.ts';
import { removeWithClones, type Removed } from './remove.ts';
import { notStarted } from './started.ts';

/**
 * Removes a database that was started under this name, and its clones: containers and volumes, with all that is in them,
 * found by their labels. Snapshots stay, and so do volumes made by `restore`: those carry no name.
 * @throws `container-missing` when there is nothing of this name; `name-taken` while another process starts it
 */
export async function stop(
  { runtime }: Pick<Tools, 'runtime'>,
  owner: Pick<Owner, 'scope' | 'name'>,
): Promise<Removed> {
  const labels = nameLabels(owner.scope, owner.name);
  const [starting] = await runtime.listVolumes({ ...labels, ...purposeLabels('starting') });
  if (starting && stateOf(starting.labels[makerLabel] ?? '') === 'alive') {
    throw new AppError('name-taken', `${owner.name} is being started by another process`, {
      hint: 'Stop that one (Ctrl-C): it removes what it has made',
    });
  }
  const ofClones = cloneLabels(owner.scope, owner.name);
  const removed = await removeWithClones(runtime, ofClones, labels);
  if (removed.containers.length + removed.volumes.length > 0) return removed;
  throw await notStarted(runtime, owner);
}
