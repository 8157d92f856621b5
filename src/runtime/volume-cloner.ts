import type { Labels } from './runtime.ts';

export const cloneMethods = ['overlay', 'reflink', 'copy'] as const;
/**
 * `overlay`: a file system of the kernel that shows the golden volume, and keeps what is written elsewhere. `reflink`: a
 * copy whose blocks are shared until they are written to. `copy`: a copy.
 */
export type CloneMethod = (typeof cloneMethods)[number];

/** A golden volume and one volume made from it. */
export interface CloneTarget {
  /** Nothing may write to it while there is a clone of it. */
  readonly golden: string;
  readonly clone: string;
  /** Put on the clone, and with another purpose on whatever else it needs, so that all of it is found again. */
  readonly labels: Labels;
  /** To create containers from, or to run them: the database's own. */
  readonly image: string;
}

/** Clones cannot be made this way here, for this reason; another way remains. */
export class CloneUnavailable extends Error {
  override readonly name = 'CloneUnavailable';
}

/**
 * Makes volumes that hold what another one does, and puts them back to that.
 *
 * What must hold, for every implementation:
 * - A clone holds all that the golden volume does: names, owners, modes, times, links, contents, its root's own too.
 *   `copy` with a cp that is not GNU's keeps times to the second, and neither extended attributes nor holes of files.
 * - Whatever is done to a clone, by root in a container, the golden volume's bytes stay as they are.
 * - After `reset` a clone is as it was when it was made, whatever has happened to it or to an earlier `reset`.
 * - Clones of one volume do not see each other.
 */
export interface VolumeCloner {
  readonly method: CloneMethod;
  /**
   * Makes the volume `target.clone`.
   * @throws CloneUnavailable, and nothing of it is left; `volume-taken`, `copy-failed`
   */
  create(target: CloneTarget, signal: AbortSignal): Promise<void>;
  /** Nothing may run on the clone. @throws `copy-failed`; may be called again then */
  reset(target: CloneTarget, signal: AbortSignal): Promise<void>;
  /** Removes the clone. Does nothing when it is gone. */
  remove(target: Pick<CloneTarget, 'clone'>): Promise<void>;
}
