import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { AppError, explain } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { refusal } from '../snapshot/acceptance.ts';
import { openBundle, type Bundle } from '../snapshot/bundle.ts';
import { misfit } from '../snapshot/compatibility.ts';
import { differingParts, type KeyParts } from '../snapshot/key.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import { sizeProblem } from '../snapshot/max-size.ts';
import type { Found, Lookup } from '../stores/store.ts';
import type { SnapshotTools, StoreTools } from './context.ts';
import type { Plan } from './plan.ts';

/**
 * What is stored under the very key that was looked for. `unread`: it may be whole, what failed is a disk, or the way from
 * the store; `locked`: it is encrypted, and no key was given, so that others may be able to use it.
 */
export type KeyHolder = 'none' | 'unusable' | 'unread' | 'locked';

/** Why there is no hit. */
export interface Miss {
  readonly reason: string;
  /** Where there is a snapshot under the very key, it stays, and keeps others from being saved. */
  readonly keyHolder: KeyHolder;
}

/** A snapshot that was looked for and can be used, or why there is none. */
export type Search =
  | {
      readonly kind: 'found';
      readonly bundle: Bundle<DatabaseManifest>;
      readonly exact: boolean;
      /** It keeps others from being saved under the key that was looked for. */
      readonly occupied: boolean;
    }
  | ({ readonly kind: 'none' } & Miss);

/** What the store has, loaded and opened, and not yet compared with what is going to run. */
export type Fetched =
  | {
      readonly kind: 'loaded';
      readonly bundle: Bundle;
      readonly exact: boolean;
      readonly occupied: boolean;
    }
  | ({ readonly kind: 'none' } & Miss);

/**
 * Looks a snapshot up, loads it and reads its manifest. Nothing is extracted, and whatever is wrong with a snapshot or
 * a store is a reason, not an error: the caller can always seed.
 * @throws `wrong-key`: who gives a key wants it used
 */
export async function fetchSnapshot(
  tools: SnapshotTools,
  lookup: Lookup,
  explainMiss: () => Promise<string>,
  signal: AbortSignal,
): Promise<Fetched> {
  const { store, log } = tools;
  let occupied = false;
  try {
    const found = await store.find(lookup, signal);
    if (!found) return { kind: 'none', reason: await explainMiss(), keyHolder: 'none' };
    const { key, exact } = found;
    occupied = exact && found.source === undefined;
    log.info(exact ? `found ${key}` : `found a base snapshot: ${key}`);
    const bundle = await loadBundle(tools, found, signal);
    if (bundle) return { kind: 'loaded', bundle, exact, occupied };
    const reason = `the snapshot ${key} was removed while it was looked up`;
    return { kind: 'none', reason, keyHolder: 'none' };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError) || !reasonCodes.has(error.code)) throw error;
    log.warn(explain(error));
    return { kind: 'none', reason: error.message, keyHolder: keyHolderAfter(occupied, error) };
  }
}

/** Whether what was fetched can serve the plan, by its manifest. What cannot is removed again. */
export async function judge(
  { log }: Pick<SnapshotTools, 'log'>,
  fetched: Fetched,
  plan: Pick<Plan, 'target' | 'keyParts'>,
  { acceptance, maxBytes }: Pick<Settings, 'acceptance' | 'maxBytes'>,
): Promise<Search> {
  if (fetched.kind === 'none') return fetched;
  const { bundle, exact, occupied } = fetched;
  const { manifest } = bundle;
  const refused = refusal(bundle, acceptance);
  const unfit =
    manifest.kind === 'database'
      ? (misfit(manifest, plan.target) ??
        sizeProblem(manifest, maxBytes)?.message ??
        (exact ? undefined : baseMisfit(manifest.keyParts, plan.keyParts)))
      : 'it holds volumes, not a database that snapvol has started';
  if (manifest.kind === 'database' && (refused ?? unfit) === undefined) {
    return { kind: 'found', bundle: { ...bundle, manifest }, exact, occupied };
  }
  await rm(bundle.dir, { recursive: true });
  const reason = `the snapshot ${manifest.key} ${refused === undefined ? `does not fit: ${unfit}` : `is refused: ${refused}`}`;
  if (refused !== undefined) log.warn(reason);
  return { kind: 'none', reason, keyHolder: occupied ? 'unusable' : 'none' };
}

/** @param occupied there is a snapshot under the very key, which could not be used because of `error` */
export function keyHolderAfter(occupied: boolean, { code }: AppError): KeyHolder {
  if (!occupied) return 'none';
  if (code === 'snapshot-locked') return 'locked';
  return code === 'store-unavailable' || code === 'copy-failed' ? 'unread' : 'unusable';
}

/**
 * What only acts on an empty data folder would not act on a base: its result must not be saved under a key that says
 * otherwise. The seed and the key files may differ; they are what the seed on top is for.
 */
function baseMisfit(base: KeyParts, wanted: KeyParts): string | undefined {
  const initial = (parts: KeyParts): KeyParts =>
    parts.filter(
      ({ name, value }) =>
        name === 'image' || name.startsWith('env ') || (name === 'init' && value !== 'none'),
    );
  return differingParts(initial(base), initial(wanted))[0];
}

/** What keeps a snapshot from being used without keeping the database from being seeded. */
export const reasonCodes: ReadonlySet<AppError['code']> = new Set([
  'store-unavailable',
  'snapshot-corrupt',
  'snapshot-incompatible',
  'snapshot-locked',
]);

/** The bundle, opened, in the scratch folder. `undefined` when the snapshot has gone since it was found. */
export async function loadBundle(
  { store, scratchDir }: Pick<StoreTools, 'store' | 'scratchDir'>,
  found: Found,
  signal: AbortSignal,
): Promise<Bundle | undefined> {
  const dir = join(scratchDir, 'loaded');
  await mkdir(dir);
  try {
    if (await store.load(found, dir, signal)) {
      const bundle = await openBundle(dir);
      if (bundle.manifest.key === found.key) return bundle;
      throw new AppError(
        'snapshot-corrupt',
        `what is stored as ${found.key} is the snapshot ${bundle.manifest.key}`,
      );
    }
  } catch (error) {
    await rm(dir, { recursive: true });
    throw error;
  }
  await rm(dir, { recursive: true });
  return undefined;
}
