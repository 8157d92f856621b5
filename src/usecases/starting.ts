import { createHash } from 'node:crypto';

import { AppError } from '../errors.ts';
import { thisProcess } from '../process-identity.ts';
import { labelsFor, makerLabel, type Owner } from '../runtime/labels.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';

/**
 * Notes in the engine that this process starts a database, or clones of it, as a suspension is noted, before anything of it is made: when
 * this process is killed, whatever carries the label of its run is known to be nobody's. It goes when the database
 * serves, or with all that the run has made.
 * @throws `name-taken` while another process starts a database of this name
 */
export async function noteStarting(runtime: ContainerRuntime, owner: Owner): Promise<void> {
  const labels = { ...labelsFor(owner, 'starting'), [makerLabel]: thisProcess() };
  try {
    await runtime.createVolume(noteName(owner), labels);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'volume-taken') throw error;
    throw new AppError(
      'name-taken',
      `a database named ${owner.name} is being started or cloned by another process`,
      {
        cause: error,
        hint: 'Wait for it, or choose another name; when there is none any more, run "snapvol recover --force"',
      },
    );
  }
}

/** One for each name in a scope: whoever comes second is refused. */
function noteName({ scope, name }: Pick<Owner, 'scope' | 'name'>): string {
  const hash = createHash('sha256').update(`${scope}\n${name}`).digest('hex');
  return `snapvol-starting-${name}-${hash.slice(0, 12)}`;
}
