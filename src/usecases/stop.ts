import { randomUUID } from 'node:crypto';

import { AppError } from '../errors.ts';
import { stateOf } from '../process-identity.ts';
import {
  cloneLabels,
  makerLabel,
  nameLabel,
  nameLabels,
  purposeLabels,
  runLabel,
  type Owner,
} from '../runtime/labels.ts';
import type { VolumeInfo } from '../runtime/runtime.ts';
import { withAftermath } from '../aftermath.ts';
import type { Tools } from './context.ts';
import { forgetStarting, removeWithClones, type Removed } from './remove.ts';
import { notStarted } from './started.ts';
import { noteStarting } from './starting.ts';

/**
 * Removes a database that was started under this name, and its clones: containers and volumes, with all that is in them,
 * found by their labels. Snapshots stay, and so do volumes made by `restore`: those carry no name.
 * @throws `container-missing` when there is nothing of this name; `name-taken` while another process starts, clones,
 *   resets or stops it
 */
export async function stop(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  { scope, name }: Pick<Owner, 'scope' | 'name'>,
): Promise<Removed> {
  const labels = nameLabels(scope, name);
  const ofClones = cloneLabels(scope, name);
  const starting = await runtime.listVolumes({ ...labels, ...purposeLabels('starting') });
  if (starting.some(isAlive)) {
    throw new AppError(
      'name-taken',
      `${name} is being started, cloned or stopped by another process`,
      {
        hint: 'Stop that one (Ctrl-C): it removes what it has made',
      },
    );
  }
  // What a killed process has made under this name goes with the rest. Should this one be killed, too, it is still found.
  const run = starting[0]?.labels[runLabel] ?? randomUUID();
  for (const dead of starting) await runtime.removeVolume(dead.name);
  await noteStarting(runtime, { scope, name, run });
  return withAftermath(
    log,
    async () => {
      for (const ofOne of [labels, ofClones]) {
        const resetting = await runtime.listVolumes({ ...ofOne, ...purposeLabels('resetting') });
        const note = resetting.find(isAlive);
        if (!note) continue;
        throw new AppError(
          'name-taken',
          `${note.labels[nameLabel] ?? name} is being reset by another process`,
          { hint: 'Wait for it' },
        );
      }
      const removed = await removeWithClones(runtime, ofClones, labels);
      if (removed.containers.length + removed.volumes.length > 0) return removed;
      throw await notStarted(runtime, { scope, name });
    },
    () => forgetStarting(runtime, { ...labels, [runLabel]: run }),
  );
}

const isAlive = ({ labels }: VolumeInfo): boolean => stateOf(labels[makerLabel] ?? '') === 'alive';
