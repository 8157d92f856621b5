import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { AppError, explain } from '../errors.ts';
import { openBundle, type Bundle } from '../snapshot/bundle.ts';
import { misfit } from '../snapshot/compatibility.ts';
import { differingParts, type KeyParts } from '../snapshot/key.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import type { Found } from '../stores/store.ts';
import type { StoreTools } from './context.ts';
import type { Plan } from './plan.ts';

/** Why there is no hit. */
export interface Miss {
  readonly reason: string;
  /** Under the very key there is a snapshot, which stays, and keeps others from being saved. */
  readonly occupied: boolean;
  /** What there is may be whole: what failed is a disk, or the way from the store. */
  readonly passing?: boolean;
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

/**
 * Looks a snapshot up, loads it and reads its manifest. Nothing is extracted, and whatever is wrong with a snapshot or
 * a store is a reason, not an error: the caller can always seed.
 */
export async function searchSnapshot(
  tools: StoreTools,
  plan: Plan,
  restoreKeys: readonly string[],
  explainMiss: () => Promise<string>,
  signal: AbortSignal,
): Promise<Search> {
  const { store, log } = tools;
  let occupied = false;
  try {
    const found = await store.find({ primary: plan.key, prefixes: restoreKeys }, signal);
    if (!found) return { kind: 'none', reason: await explainMiss(), occupied };
    occupied = found.exact && found.source === undefined;
    log.info(found.exact ? `found ${found.key}` : `found a base snapshot: ${found.key}`);
    const bundle = await loadBundle(tools, found, signal);
    if (!bundle) {
      const reason = `the snapshot ${found.key} was removed while it was looked up`;
      return { kind: 'none', reason, occupied: false };
    }
    const { manifest } = bundle;
    const reason =
      manifest.kind === 'database'
        ? (misfit(manifest, plan.target) ??
          (found.exact ? undefined : baseMisfit(manifest.keyParts, plan.keyParts)))
        : 'it holds volumes, not a database that snapvol has started';
    if (manifest.kind === 'database' && reason === undefined) {
      return { kind: 'found', bundle: { ...bundle, manifest }, exact: found.exact, occupied };
    }
    await rm(bundle.dir, { recursive: true });
    return {
      kind: 'none',
      reason: `the snapshot ${found.key} does not fit: ${reason}`,
      occupied,
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError) || !reasonCodes.has(error.code)) throw error;
    log.warn(explain(error));
    return { kind: 'none', reason: error.message, occupied, passing: isPassing(error) };
  }
}

/** Is the next run as likely to be able to use the snapshot as any? */
export function isPassing({ code }: AppError): boolean {
  return code === 'store-unavailable' || code === 'copy-failed';
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
