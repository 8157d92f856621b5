import { rm } from 'node:fs/promises';

import { secondsSince } from '../clock.ts';
import { withAftermath } from '../aftermath.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { bundleBytes, verifyArchives } from '../snapshot/bundle.ts';
import { takeSample, type Sample } from '../snapshot/sample.ts';
import type { Found, ListableStore } from '../stores/store.ts';
import { readCatalogue, requireListable } from './catalogue.ts';
import type { SnapshotTools } from './context.ts';
import { loadBundle, reasonCodes } from './search.ts';
import { findSnapshot, snapshotGone } from './stored.ts';

/** A snapshot that is what it says, to the last byte. */
export interface WholeSnapshot {
  readonly key: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly archives: readonly { readonly archive: string; readonly sha256: string }[];
}

export interface VerifyReport extends WholeSnapshot {
  readonly store: string;
  readonly seconds: { readonly total: number };
}

export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * `unverified`: nobody can tell, for want of a store that answers or of a snapvol that knows the format. Or of the key:
 * then all that is encrypted is as it was stored.
 */
export type Verdict =
  | (WholeSnapshot & { readonly state: 'whole' })
  | { readonly state: 'damaged' | 'unverified'; readonly key: string; readonly problem: Problem }
  /** Removed by somebody else in the meantime. */
  | { readonly state: 'gone'; readonly key: string };

export interface VerifyRequest {
  /** Only snapshots of this name. */
  readonly name: string | undefined;
  /** Only so many of them. */
  readonly sample: Sample | undefined;
}

export interface VerifyAllReport {
  readonly store: string;
  readonly snapshots: readonly Verdict[];
  readonly seconds: { readonly total: number };
}

/**
 * Loads a snapshot and reads every byte of it.
 * @throws `snapshot-corrupt` naming the first file that is damaged; what {@link findSnapshot} throws
 */
export async function verifySnapshot(
  tools: SnapshotTools,
  key: string,
  signal: AbortSignal,
): Promise<VerifyReport> {
  const { store, clock } = tools;
  const startMs = clock.monotonicMs();
  const found = await findSnapshot(store, key, signal);
  const whole = await readWhole(tools, found, `verifying ${found.key}`, signal);
  if (!whole) throw snapshotGone(found.key);
  return { ...whole, store: store.name, seconds: { total: secondsSince(clock, startMs) } };
}

/**
 * Reads every byte of many snapshots, one after the other and whatever is wrong with one of them, newest first.
 * @throws `invalid-settings` for a store that cannot list; `snapshot-missing` for a name that no snapshot has
 */
export async function verifySnapshots(
  tools: SnapshotTools,
  { name, sample }: VerifyRequest,
  signal: AbortSignal,
): Promise<VerifyAllReport> {
  const { store, clock } = tools;
  const startMs = clock.monotonicMs();
  requireListable(store);
  const all =
    name === undefined ? await keysOf(store, signal) : await keysNamed(store, name, signal);
  const keys = sample ? takeSample(all, sample) : all;
  const snapshots: Verdict[] = [];
  for (const [at, key] of keys.entries()) {
    const label = `verifying ${key} (${at + 1} of ${keys.length})`;
    snapshots.push(await judge(tools, key, label, signal));
  }
  return { store: store.name, snapshots, seconds: { total: secondsSince(clock, startMs) } };
}

const unverifiable: ReadonlySet<ErrorCode> = new Set([...reasonCodes, 'wrong-key']);

/** Whether the snapshot of this very key is whole. What is wrong with it is a verdict, not an error. */
export async function judge(
  tools: SnapshotTools,
  key: string,
  label: string,
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    const found = await tools.store.find({ primary: key, prefixes: [] }, signal);
    const whole = found && (await readWhole(tools, found, label, signal));
    return whole ? { state: 'whole', ...whole } : { state: 'gone', key };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError) || !unverifiable.has(error.code)) throw error;
    const { code, message } = error;
    const state = code === 'snapshot-corrupt' ? 'damaged' : 'unverified';
    return { state, key, problem: { code, message } };
  }
}

/** `undefined` when it has gone. What was loaded is removed again: there may be many more to read. */
async function readWhole(
  tools: SnapshotTools,
  found: Found,
  label: string,
  signal: AbortSignal,
): Promise<WholeSnapshot | undefined> {
  const bundle = await loadBundle(tools, found, signal);
  if (!bundle) return undefined;
  const { dir, digest, manifest } = bundle;
  const totalBytes = manifest.volumes.reduce((sum, { archiveBytes }) => sum + archiveBytes, 0);
  let bytes = 0;
  const read = async (): Promise<WholeSnapshot> => {
    await verifyArchives(bundle, signal, (more) => {
      bytes += more;
      tools.log.progress({ label, bytes, totalBytes });
    });
    return {
      key: found.key,
      digest,
      sizeBytes: await bundleBytes(bundle),
      archives: manifest.volumes.map(({ archive, sha256 }) => ({ archive, sha256 })),
    };
  };
  return withAftermath(tools.log, read, () => rm(dir, { recursive: true }));
}

async function keysOf(store: ListableStore, signal: AbortSignal): Promise<string[]> {
  return (await store.list(signal)).map(({ key }) => key);
}

async function keysNamed(
  store: ListableStore,
  name: string,
  signal: AbortSignal,
): Promise<string[]> {
  const catalogue = await readCatalogue(store, signal);
  const keys = catalogue.filter((entry) => entry.name === name).map(({ key }) => key);
  if (keys.length > 0) return keys;
  throw new AppError('snapshot-missing', `no snapshot in ${store.name} has the name ${name}`, {
    hint: '"snapvol list" shows the names that there are',
  });
}
