import { AppError } from '../errors.ts';
import { encryptedManifestName, type Manifest } from '../snapshot/manifest.ts';
import { isListable, type Entry, type ListableStore, type SnapshotStore } from '../stores/store.ts';
import { readManifest } from './explain.ts';

/** A stored snapshot and what it says of itself: `undefined` where that cannot be read. */
export interface CatalogueEntry extends Entry {
  readonly name: string | undefined;
  readonly manifest: Manifest | undefined;
  /** It is encrypted, and could not be opened. */
  readonly locked: boolean;
}

/** Every snapshot with its manifest, newest first. What goes while it is looked at is left out. */
export async function readCatalogue(
  store: ListableStore,
  signal: AbortSignal,
): Promise<CatalogueEntry[]> {
  const catalogue: CatalogueEntry[] = [];
  for (const entry of await store.list(signal)) {
    const manifest = await manifestOf(store, entry.key, signal);
    const isThere = manifest ?? (await store.find({ primary: entry.key, prefixes: [] }, signal));
    if (!isThere) continue;
    const locked = manifest === undefined && (await isEncrypted(store, entry.key, signal));
    catalogue.push({ ...entry, name: manifest?.name, manifest, locked });
  }
  return catalogue;
}

async function isEncrypted(
  store: ListableStore,
  key: string,
  signal: AbortSignal,
): Promise<boolean> {
  const read = store.readFile(key, encryptedManifestName, signal);
  return (await unlessUnavailable(read)) !== undefined;
}

/** One that the store cannot read is for its owner to see to, and keeps nobody from the others. */
export async function manifestOf(
  store: ListableStore,
  key: string,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  return unlessUnavailable(readManifest(store, key, signal));
}

async function unlessUnavailable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof AppError && error.code === 'store-unavailable') return undefined;
    throw error;
  }
}

/** @throws `invalid-settings` for a store that cannot list */
export function requireListable(store: SnapshotStore): asserts store is ListableStore {
  if (isListable(store)) return;
  throw new AppError(
    'invalid-settings',
    `the store ${store.name} can neither list nor remove snapshots`,
    {
      hint: 'Only "file:DIR" can; GitHub shows and removes its own on the pages of the repository',
    },
  );
}
