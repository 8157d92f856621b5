import type { Settings } from '../settings.ts';

/** What was measured in the run that has made a snapshot. */
export interface SnapshotTimes {
  /** From an empty volume, or the restore of a base snapshot, to the end of the seed. */
  readonly seedingSeconds: number;
  readonly copySeconds: number;
  /** Of the start after the copy; 0 where the database was not stopped for it. */
  readonly readySeconds: number;
}

/** Up to it, compressing takes about as long as reading and writing. */
const quickZstdLevel = 3;

/**
 * Why `save: auto` spares the upload of a new snapshot, which is that seeding takes less than restoring would; `undefined`
 * where it is to be saved. In doubt it is: what a hit takes is counted at its least, and without the look-up, which a
 * run that seeds makes as well.
 */
export function reasonNotWorthwhile(
  { save, key, store, compression }: Pick<Settings, 'save' | 'key' | 'store' | 'compression'>,
  { seedingSeconds, copySeconds, readySeconds }: SnapshotTimes,
): string | undefined {
  if (save !== 'auto') return undefined;
  // A key that somebody gave, others may refer to; and an artifact is made for later jobs of the run.
  if (key !== undefined || store.kind === 'artifact') return undefined;
  // The copy back is no slower than this one, and much faster where it was compressing that took the time.
  const isQuick =
    compression.kind === 'none' ||
    compression.level === 'auto' ||
    compression.level <= quickZstdLevel;
  const restoringSeconds = (isQuick ? copySeconds : 0) + readySeconds;
  const seeding = seedingSeconds.toFixed(1);
  const restoring = restoringSeconds.toFixed(1);
  // What does not show is no reason.
  if (Number(seeding) >= Number(restoring)) return undefined;
  return (
    `seeding took ${seeding} s, restoring would take about ${restoring} s: set "save" to true to save it all the same, ` +
    'or to false to spare the snapshot'
  );
}
