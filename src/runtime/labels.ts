import { randomBytes } from 'node:crypto';

import { AppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import { thisProcess } from '../process-identity.ts';
import type { Labels, VolumeInfo } from './runtime.ts';

const prefix = 'dev.snapvol.';

export const purposeLabel = `${prefix}purpose`;
/** What something was made for. */
export type Purpose =
  | 'database'
  | 'volume'
  | 'copy'
  | 'restored'
  | 'suspended'
  | 'restoring'
  | 'committed'
  | 'starting'
  | 'layer'
  | 'resetting'
  | 'saving';

/** Who makes things: one run of one use case. Everything it makes carries this, and is found again by it. */
export interface Owner {
  /** Unique for each run of `start`. */
  readonly run: string;
  /** The database's name within its scope. */
  readonly name: string;
  /** `cli`, or the job of a workflow. Names are unique within a scope. */
  readonly scope: string;
}

export function labelsFor(owner: Owner, purpose: Purpose): Labels {
  return {
    ...runLabels(owner.run),
    ...nameLabels(owner.scope, owner.name),
    [purposeLabel]: purpose,
  };
}

/** Finds everything that one run made. */
export function runLabels(run: string): Labels {
  return { [`${prefix}run`]: run };
}

/** Finds everything made for a database of this name. */
export function nameLabels(scope: string, name: string): Labels {
  return { [`${prefix}scope`]: scope, [`${prefix}name`]: name };
}

export function scopeLabels(scope: string): Labels {
  return { [`${prefix}scope`]: scope };
}

/**
 * For a volume that is made for the user to keep. It has no name and no run: whatever is removed by these, it stays.
 */
export function restoredLabels(scope: string, key: string): Labels {
  return withPurpose({ ...scopeLabels(scope), [`${prefix}key`]: key }, 'restored');
}

/** For a container that copies: when its process is gone, nobody needs it. */
export function copyLabels(labels: Labels): Labels {
  return { ...withPurpose(labels, 'copy'), [makerLabel]: thisProcess() };
}

export function withPurpose(labels: Labels, purpose: Purpose): Labels {
  return { ...labels, [purposeLabel]: purpose };
}

/** Of something that one run made: whose it is, and what it was cloned from. */
export function ownLabels({ labels }: { readonly labels: Labels }): Labels {
  const kept = [runLabel, scopeLabel, nameLabel, cloneOfLabel, cloneOfRunLabel];
  return Object.fromEntries(Object.entries(labels).filter(([name]) => kept.includes(name)));
}

/** Without our own, which say what we do with it. */
export function foreignLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !name.startsWith(prefix)));
}

/** Finds everything of one purpose, whoever made it. */
export function purposeLabels(purpose: Purpose): Labels {
  return { [purposeLabel]: purpose };
}

/** For a container that copies: another one each time, so that one left behind by a killed process is in nobody's way. */
export function helperName(source: string, what: string): string {
  // A folder's path is no name.
  const name = source.replaceAll(/[^a-zA-Z0-9_.-]+/g, '-').replace(/^[^a-zA-Z0-9]+/, '') || 'root';
  return `${name.slice(-80).replace(/^[^a-zA-Z0-9]+/, '')}-${what}-${randomBytes(4).toString('hex')}`;
}

/**
 * On every container that is made: its own name. A container of an image that somebody has made from one of ours carries
 * all our labels, and has another name.
 */
export const selfLabel = `${prefix}container`;

/** On what stands for unfinished work: the process that is at it, and the work as JSON. */
export const makerLabel = `${prefix}maker`;
export const workLabel = `${prefix}work`;

/** The unfinished work that a volume stands for. @throws `volume-taken` for one that says none */
export function workOf({ name, labels }: VolumeInfo): unknown {
  return parseJson(
    labels[workLabel] ?? '',
    (cause) =>
      new AppError('volume-taken', `the volume ${name} has labels of snapvol, and cannot be read`, {
        cause,
        hint: `Remove it with "docker volume rm ${name}", if no snapvol of another version needs it`,
      }),
  );
}

/** On what one `restore` makes: which one. */
export function taskLabels(task: string): Labels {
  return { [`${prefix}task`]: task };
}

/** What a volume is called in a bundle (`data`, or its name in `volumes-extra`), and where it is mounted. */
export const volumeNameLabel = `${prefix}volume`;
/** On a database's container: what a later `save` must know of it, as JSON. */
export const recordLabel = `${prefix}record`;
export const engineLabel = `${prefix}engine`;
export const runLabel = `${prefix}run`;
export const nameLabel = `${prefix}name`;
export const scopeLabel = `${prefix}scope`;

/** On a clone: the volume that it is put back to, and how it was made. */
export const goldenLabel = `${prefix}golden`;
export const cloneMethodLabel = `${prefix}clone-method`;
/** On a clone, by some ways to make one: the golden volume's root as it was found. Another clone may start from it. */
export const goldenRootLabel = `${prefix}golden-root`;

/** Finds all that belongs to the clones of a database, and to clones of these. */
export function cloneLabels(scope: string, name: string): Labels {
  return { ...scopeLabels(scope), [cloneOfLabel]: name };
}
export const cloneOfLabel = `${prefix}clone-of`;

/** The same, of what one run made. */
export function cloneRunLabels(run: string): Labels {
  return { [cloneOfRunLabel]: run };
}
export const cloneOfRunLabel = `${prefix}clone-of-run`;
