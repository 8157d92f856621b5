import { randomBytes } from 'node:crypto';

import type { Labels } from './runtime.ts';

const prefix = 'dev.snapvol.';

/** What something was made for. */
export type Purpose = 'database' | 'volume' | 'copy' | 'restored';

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
    [`${prefix}purpose`]: purpose,
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

export function withPurpose(labels: Labels, purpose: Purpose): Labels {
  return { ...labels, [`${prefix}purpose`]: purpose };
}

/** For a container that copies: another one each time, so that one left behind by a killed process is in nobody's way. */
export function helperName(volume: string, direction: 'save' | 'restore'): string {
  return `${volume}-${direction}-${randomBytes(4).toString('hex')}`;
}

/** What a volume is called in a bundle (`data`, or its name in `volumes-extra`), and where it is mounted. */
export const volumeNameLabel = `${prefix}volume`;
/** On a database's container: what a later `save` must know of it, as JSON. */
export const recordLabel = `${prefix}record`;
export const engineLabel = `${prefix}engine`;
export const runLabel = `${prefix}run`;
export const nameLabel = `${prefix}name`;
