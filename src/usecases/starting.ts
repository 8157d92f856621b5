import { createHash } from 'node:crypto';

import { AppError } from '../errors.ts';
import { stateOf, thisProcess } from '../process-identity.ts';
import {
  labelsFor,
  makerLabel,
  nameLabel,
  nameLabels,
  purposeLabels,
  runLabel,
  runLabels,
  scopeLabel,
  type Owner,
} from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';

/**
 * Notes in the engine that this process starts a database, or clones of it, or stops it, as a suspension is noted, before
 * anything of it is made: when this process is killed, whatever carries the label of its run is known to be nobody's. It
 * goes when the database serves, or with all that the run has made.
 * @throws `name-taken` while another process starts, clones or stops a database of this name
 */
export async function noteStarting(runtime: ContainerRuntime, owner: Owner): Promise<void> {
  const labels = { ...labelsFor(owner, 'starting'), [makerLabel]: thisProcess() };
  try {
    await runtime.createVolume(noteName(owner), labels);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'volume-taken') throw error;
    throw beingStarted(owner.name, error);
  }
}

/**
 * Of a database, or clone, that is there already.
 * @throws `name-taken` while a process that may live starts, clones or stops what the container belongs to
 */
export async function requireNotStarting(
  runtime: ContainerRuntime,
  { labels }: ContainerState,
  signal: AbortSignal,
): Promise<void> {
  const { [runLabel]: run = '', [scopeLabel]: scope = '', [nameLabel]: name = '' } = labels;
  for (const ofIt of [runLabels(run), nameLabels(scope, name)]) {
    const notes = await runtime.listVolumes({ ...ofIt, ...purposeLabels('starting') }, signal);
    const note = notes.find((each) => stateOf(each.labels[makerLabel] ?? '') !== 'dead');
    if (note) throw beingStarted(note.labels[nameLabel] ?? name);
  }
}

/** One for each name in a scope: whoever comes second is refused. */
function noteName({ scope, name }: Pick<Owner, 'scope' | 'name'>): string {
  const hash = createHash('sha256').update(`${scope}\n${name}`).digest('hex');
  // What is to be stopped or cloned may be misspelt in any way.
  return `snapvol-starting-${name.replaceAll(/[^\w.-]/g, '-').slice(0, 100)}-${hash.slice(0, 12)}`;
}

function beingStarted(name: string, cause?: unknown): AppError {
  return new AppError(
    'name-taken',
    `a database named ${name} is being started, cloned or stopped by another process`,
    {
      cause,
      hint: 'Wait for it, or choose another name; when there is none any more, run "snapvol recover --force"',
    },
  );
}
