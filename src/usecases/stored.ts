import { createHash } from 'node:crypto';

import { ageSeconds } from '../clock.ts';
import { AppError } from '../errors.ts';
import { architectureOf, engineNames, imageNames } from '../snapshot/contents.ts';
import { decodeManifest } from '../snapshot/manifest-json.ts';
import { manifestFileName, type Manifest } from '../snapshot/manifest.ts';
import { isListable, type Found, type ListableStore, type SnapshotStore } from '../stores/store.ts';
import { manifestOf, readCatalogue, requireListable } from './catalogue.ts';
import type { SnapshotTools } from './context.ts';
import { loadBundle } from './search.ts';

/** One line of a list. What only the manifest tells is absent where that cannot be read. */
export interface SnapshotSummary {
  readonly key: string;
  readonly createdAt: string;
  readonly ageSeconds: number;
  readonly sizeBytes: number;
  readonly name: string | undefined;
  readonly engine: string | undefined;
  readonly image: string | undefined;
  readonly architecture: string | undefined;
  /** It is encrypted, and could not be opened: hence nothing but its key, size and age. */
  readonly locked: boolean;
}

export interface SnapshotDetails {
  readonly key: string;
  readonly store: string;
  readonly digest: string;
  readonly ageSeconds: number;
  /** Of the archives. */
  readonly sizeBytes: number;
  readonly manifest: Manifest;
}

/**
 * The snapshot that `key` stands for: the one with this very key; else, in a store that can list, the newest one of
 * this name; else the only one whose key begins with it.
 * @throws `snapshot-missing`; `invalid-settings` when several keys begin with it
 */
export async function findSnapshot(
  store: SnapshotStore,
  key: string,
  signal: AbortSignal,
): Promise<Found> {
  const exact = await store.find({ primary: key, prefixes: [] }, signal);
  if (exact) return exact;
  if (!isListable(store) || key === '') throw snapshotMissing(store, key);
  const keys = (await store.list(signal)).map((entry) => entry.key);
  const meant = (await newestNamed(store, keys, key, signal)) ?? onlyBeginning(store, keys, key);
  const found = meant && (await store.find({ primary: meant, prefixes: [] }, signal));
  if (found) return found;
  throw snapshotMissing(store, key);
}

/** @param keys newest first */
async function newestNamed(
  store: ListableStore,
  keys: readonly string[],
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const key of keys) {
    if ((await manifestOf(store, key, signal))?.name === name) return key;
  }
  return undefined;
}

function onlyBeginning(
  store: SnapshotStore,
  keys: readonly string[],
  beginning: string,
): string | undefined {
  const matches = keys.filter((key) => key.startsWith(beginning));
  if (matches.length < 2) return matches[0];
  throw new AppError(
    'invalid-settings',
    `${matches.length} snapshots in ${store.name} begin with "${beginning}"`,
    { hint: 'Give more of the key', details: matches },
  );
}

function snapshotMissing(store: SnapshotStore, key: string): AppError {
  return new AppError('snapshot-missing', `there is no snapshot ${key} in ${store.name}`, {
    hint: '"snapvol list" shows those that there are',
  });
}

export function snapshotGone(key: string): AppError {
  return new AppError('snapshot-missing', `the snapshot ${key} has just been removed`);
}

/**
 * Newest first.
 * @param name only snapshots of this name
 * @throws `invalid-settings` for a store that cannot list
 */
export async function listSnapshots(
  { store, clock }: Pick<SnapshotTools, 'store' | 'clock'>,
  name: string | undefined,
  signal: AbortSignal,
): Promise<SnapshotSummary[]> {
  requireListable(store);
  const catalogue = await readCatalogue(store, signal);
  return catalogue
    .filter((entry) => name === undefined || entry.name === name)
    .map(({ key, createdAtMs, sizeBytes, name, manifest, locked }) => ({
      key,
      createdAt: new Date(createdAtMs).toISOString(),
      ageSeconds: ageSeconds(clock, createdAtMs),
      sizeBytes,
      name,
      engine: manifest && engineNames(manifest),
      image: manifest && imageNames(manifest),
      architecture: (manifest && architectureOf(manifest)) ?? undefined,
      locked,
    }));
}

/** What a snapshot says of itself. Its archives are not looked at where the store can do without. */
export async function inspectSnapshot(
  tools: SnapshotTools,
  key: string,
  signal: AbortSignal,
): Promise<SnapshotDetails> {
  const { store, clock } = tools;
  const found = await findSnapshot(store, key, signal);
  const read = isListable(store)
    ? await readStored(store, found.key, signal)
    : await loadBundle(tools, found, signal);
  if (!read) throw snapshotGone(found.key);
  const { manifest, digest } = read;
  return {
    key: found.key,
    store: store.name,
    digest,
    ageSeconds: ageSeconds(clock, Date.parse(manifest.createdAt)),
    sizeBytes: manifest.volumes.reduce((sum, volume) => sum + volume.archiveBytes, 0),
    manifest,
  };
}

async function readStored(
  store: ListableStore,
  key: string,
  signal: AbortSignal,
): Promise<{ manifest: Manifest; digest: string } | undefined> {
  const bytes = await store.readFile(key, manifestFileName, signal);
  return (
    bytes && {
      manifest: decodeManifest(bytes.toString('utf8')),
      digest: createHash('sha256').update(bytes).digest('hex'),
    }
  );
}

/**
 * Removes the snapshot of this key, or the only one whose key begins with it. A name alone is refused: it does not say
 * which of its snapshots should go.
 * @throws `snapshot-missing`; `invalid-settings` when several could be meant, and for a store that cannot remove
 */
export async function removeSnapshot(
  { store }: Pick<SnapshotTools, 'store'>,
  key: string,
  signal: AbortSignal,
): Promise<{ readonly key: string; readonly store: string }> {
  requireListable(store);
  const exact = await store.find({ primary: key, prefixes: [] }, signal);
  const meant = exact?.key ?? (await findToRemove(store, key, signal));
  if (!(await store.remove(meant, signal))) throw snapshotGone(meant);
  return { key: meant, store: store.name };
}

async function findToRemove(
  store: ListableStore,
  key: string,
  signal: AbortSignal,
): Promise<string> {
  if (key === '') throw snapshotMissing(store, key);
  const catalogue = await readCatalogue(store, signal);
  const keys = catalogue.map((entry) => entry.key);
  const named = catalogue.filter(({ name }) => name === key).map((entry) => entry.key);
  const isOnlyOne = named.length === 1 && named[0]?.startsWith(key);
  if (named.length > 0 && !isOnlyOne) {
    const count = named.length === 1 ? 'a snapshot' : `${named.length} snapshots`;
    throw new AppError('invalid-settings', `"${key}" is the name of ${count} in ${store.name}`, {
      hint: 'Give the key of the one to remove',
      details: named,
    });
  }
  const only = onlyBeginning(store, keys, key);
  if (only === undefined) throw snapshotMissing(store, key);
  return only;
}
