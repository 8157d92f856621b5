import { AppError } from '../errors.ts';
import { bundleBytes, type Bundle } from '../snapshot/bundle.ts';
import { isReplaceable, type SnapshotStore } from '../stores/store.ts';
import type { StoreTools } from './context.ts';

/** Where in its store a snapshot goes that somebody asked for. */
export interface Destination {
  readonly key: string;
  /** Replace a snapshot that has this key. */
  readonly overwrite: boolean;
}

/** What was saved, for reports. */
export interface SavedSnapshot {
  readonly digest: string;
  /** Of all files of its bundle. */
  readonly sizeBytes: number;
  /** Of the tars in its archives. */
  readonly unpackedBytes: number;
}

/** `snapshot`: stopping, copying, starting again. */
export interface SaveSeconds {
  readonly snapshot: number;
  readonly total: number;
}

/** Reads the sizes of the bundle's files: it must still be there. */
export async function describeSaved(bundle: Bundle): Promise<SavedSnapshot> {
  const { digest, manifest } = bundle;
  return {
    digest,
    sizeBytes: await bundleBytes(bundle),
    unpackedBytes: manifest.volumes.reduce((sum, { tarBytes }) => sum + tarBytes, 0),
  };
}

/**
 * Before anything is stopped, so that a typing error costs nothing.
 * @throws `name-taken` for a key that has a snapshot; `invalid-settings` for a store that cannot replace one
 */
export async function requireKeyFree(
  store: SnapshotStore,
  { key, overwrite }: Destination,
  signal: AbortSignal,
): Promise<void> {
  if (overwrite) {
    if (isReplaceable(store)) return;
    throw new AppError('invalid-settings', `the store ${store.name} cannot overwrite a snapshot`, {
      hint: 'Leave "overwrite" out and use another key, e.g. one with the run in it',
    });
  }
  const found = await store.find({ primary: key, prefixes: [] }, signal);
  // One of another run is in nobody's way.
  if (found && found.source === undefined) throw keyTaken(key, store.name);
}

/** @throws `name-taken` when another one has saved this key in the meantime; `store-unavailable` */
export async function storeBundle(
  { store, log }: Pick<StoreTools, 'store' | 'log'>,
  { key, overwrite }: Destination,
  dir: string,
  signal: AbortSignal,
): Promise<void> {
  await log.group(`Save (${store.name})`, async () => {
    if (overwrite && isReplaceable(store)) return store.replace(key, dir, signal);
    if ((await store.save(key, dir, signal)) === 'already-there') throw keyTaken(key, store.name);
  });
}

function keyTaken(key: string, storeName: string): AppError {
  return new AppError('name-taken', `there is a snapshot ${key} in ${storeName} already`, {
    hint: `A snapshot never changes. Choose another key, or remove it with "snapvol rm ${key}"`,
  });
}
