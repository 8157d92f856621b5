import { createHash } from 'node:crypto';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { bundleBytes, verifyArchives } from '../snapshot/bundle.ts';
import { architectureOf, engineNames, imageNames } from '../snapshot/contents.ts';
import { decodeManifest, manifestFileName, type Manifest } from '../snapshot/manifest.ts';
import { isListable, type Found, type ListableStore, type SnapshotStore } from '../stores/store.ts';
import type { SnapshotTools } from './context.ts';
import { readManifest } from './explain.ts';
import { loadBundle } from './search.ts';

/** One line of a list. What only the manifest tells is absent where that cannot be read. */
export interface SnapshotSummary {
  readonly key: string;
  readonly createdAt: string;
  readonly sizeBytes: number;
  readonly name: string | undefined;
  readonly engine: string | undefined;
  readonly image: string | undefined;
  readonly architecture: string | undefined;
}

export interface SnapshotDetails {
  readonly key: string;
  readonly store: string;
  readonly digest: string;
  /** Of the archives. */
  readonly sizeBytes: number;
  readonly manifest: Manifest;
}

export interface VerifyReport {
  readonly key: string;
  readonly store: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly archives: readonly { readonly archive: string; readonly sha256: string }[];
  readonly seconds: { readonly total: number };
}

/**
 * The snapshot of this key or, in a store that can list, the only one whose key begins with it.
 * @throws `snapshot-missing`; `invalid-settings` when several keys begin with it
 */
export async function findSnapshot(
  store: SnapshotStore,
  key: string,
  signal: AbortSignal,
): Promise<Found> {
  const exact = await store.find({ primary: key, prefixes: [] }, signal);
  if (exact) return exact;
  const entries = isListable(store) && key !== '' ? await store.list(signal) : [];
  const matches = entries.map((entry) => entry.key).filter((each) => each.startsWith(key));
  const [only, ...others] = matches;
  if (others.length > 0) {
    throw new AppError(
      'invalid-settings',
      `${matches.length} snapshots in ${store.name} begin with "${key}"`,
      { hint: 'Give more of the key', details: matches },
    );
  }
  const found = only && (await store.find({ primary: only, prefixes: [] }, signal));
  if (found) return found;
  throw new AppError('snapshot-missing', `there is no snapshot ${key} in ${store.name}`, {
    hint: '"snapvol list" shows those that there are',
  });
}

export function snapshotGone(key: string): AppError {
  return new AppError('snapshot-missing', `the snapshot ${key} has just been removed`);
}

/** Newest first. @throws `invalid-settings` for a store that cannot list */
export async function listSnapshots(
  { store }: Pick<SnapshotTools, 'store'>,
  signal: AbortSignal,
): Promise<SnapshotSummary[]> {
  requireListable(store);
  const summaries: SnapshotSummary[] = [];
  for (const { key, createdAtMs, sizeBytes } of await store.list(signal)) {
    const manifest = await readManifest(store, key, signal);
    summaries.push({
      key,
      createdAt: new Date(createdAtMs).toISOString(),
      sizeBytes,
      name: manifest?.name,
      engine: manifest && engineNames(manifest),
      image: manifest && imageNames(manifest),
      architecture: (manifest && architectureOf(manifest)) ?? undefined,
    });
  }
  return summaries;
}

/** What a snapshot says of itself. Its archives are not looked at where the store can do without. */
export async function inspectSnapshot(
  tools: SnapshotTools,
  key: string,
  signal: AbortSignal,
): Promise<SnapshotDetails> {
  const { store } = tools;
  const found = await findSnapshot(store, key, signal);
  const read = isListable(store)
    ? await readStored(store, found.key, signal)
    : await loadBundle(tools, found, signal);
  if (!read) throw snapshotGone(found.key);
  const { manifest, digest } = read;
  const sizeBytes = manifest.volumes.reduce((sum, volume) => sum + volume.archiveBytes, 0);
  return { key: found.key, store: store.name, digest, sizeBytes, manifest };
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

/** Loads a snapshot and reads every byte of it. @throws `snapshot-corrupt` naming the first file that is damaged */
export async function verifySnapshot(
  tools: SnapshotTools,
  key: string,
  signal: AbortSignal,
): Promise<VerifyReport> {
  const { store, clock } = tools;
  const startMs = clock.now();
  const found = await findSnapshot(store, key, signal);
  const bundle = await loadBundle(tools, found, signal);
  if (!bundle) throw snapshotGone(found.key);
  await verifyArchives(bundle, signal);
  return {
    key: found.key,
    store: store.name,
    digest: bundle.digest,
    sizeBytes: await bundleBytes(bundle),
    archives: bundle.manifest.volumes.map(({ archive, sha256 }) => ({ archive, sha256 })),
    seconds: { total: secondsSince(clock, startMs) },
  };
}

/** @throws `snapshot-missing`; `invalid-settings` for a store whose snapshots cannot be removed */
export async function removeSnapshot(
  { store }: Pick<SnapshotTools, 'store'>,
  key: string,
  signal: AbortSignal,
): Promise<{ readonly key: string; readonly store: string }> {
  requireListable(store);
  const found = await findSnapshot(store, key, signal);
  if (!(await store.remove(found.key, signal))) throw snapshotGone(found.key);
  return { key: found.key, store: store.name };
}

function requireListable(store: SnapshotStore): asserts store is ListableStore {
  if (isListable(store)) return;
  throw new AppError(
    'invalid-settings',
    `the store ${store.name} can neither list nor remove snapshots`,
    {
      hint: 'Only "file:DIR" can; GitHub shows and removes its own on the pages of the repository',
    },
  );
}
