import { ageSeconds } from '../clock.ts';
import { AppError } from '../errors.ts';
import {
  choose,
  type Choice,
  type Chosen,
  type Guard,
  type KeepReason,
  type RetentionRule,
  type RetentionRules,
} from '../snapshot/retention.ts';
import type { ListableStore } from '../stores/store.ts';
import { readCatalogue, requireListable, type CatalogueEntry } from './catalogue.ts';
import type { SnapshotTools } from './context.ts';
import { guardSnapshots, warnOfStrangers } from './guard.ts';
import type { Problem } from './verify.ts';

export interface PruneRequest {
  /** Only snapshots of these names; of all where there are none. */
  readonly names: readonly string[];
  /** At least one of them. */
  readonly rules: RetentionRules;
  /** Names and keys, `*` for any characters: the newest whole snapshot of these stays, for each name. */
  readonly protect: readonly string[];
  /** Changes nothing. */
  readonly dryRun: boolean;
}

export interface PruneReport {
  readonly store: string;
  readonly dryRun: boolean;
  /** In a dry run: what would be removed. */
  readonly removed: readonly PrunedSnapshot<RetentionRule>[];
  readonly kept: readonly PrunedSnapshot<KeepReason>[];
  /** What was to be removed, and why it could not be. */
  readonly failed: readonly (PrunedSnapshot<RetentionRule> & { readonly problem: Problem })[];
  /** Of what is protected: what was read and is not whole, or could not be read. */
  readonly damaged: readonly { readonly key: string; readonly problem: Problem }[];
  readonly freedBytes: number;
  /** Of all that is still there, of the names that were asked for. */
  readonly keptBytes: number;
}

export interface PrunedSnapshot<Reason> {
  readonly key: string;
  readonly name: string | undefined;
  readonly createdAt: string;
  readonly ageSeconds: number;
  readonly sizeBytes: number;
  readonly reasons: readonly Reason[];
}

/** A snapshot as it was found, with what keeps it. */
interface Candidate extends CatalogueEntry {
  readonly guard?: Guard;
}

/**
 * Removes the snapshots that no rule keeps. Of what is protected, snapshots are read from the newest on until one is
 * whole; that one stays, and where none is, all of its name. What cannot be removed keeps none of the others.
 *
 * Others may save, load and remove at the same time: what has gone is no error, and what was saved anew is not touched.
 * @throws `invalid-settings` without a rule, and for a store that cannot list or remove
 */
export async function pruneSnapshots(
  tools: SnapshotTools,
  { names, rules, protect, dryRun }: PruneRequest,
  signal: AbortSignal,
): Promise<PruneReport> {
  const { store, clock, log } = tools;
  requireListable(store);
  requireRule(rules);
  const catalogue = await readCatalogue(store, signal);
  warnOfStrangers(catalogue, names, protect, log);
  const wanted = catalogue.filter(
    ({ name }) => names.length === 0 || (name !== undefined && names.includes(name)),
  );
  const { guards, gone, damaged } = await guardSnapshots(tools, wanted, protect, signal);
  const candidates = wanted
    .filter(({ key }) => !gone.has(key))
    .map((entry): Candidate => {
      const guard = guards.get(entry.key);
      return guard ? { ...entry, guard } : entry;
    });
  const choice = choose(candidates, rules, clock.now());
  const done = dryRun
    ? { removed: choice.removed, kept: choice.kept, failed: [] }
    : await removeChosen(tools, store, choice, signal);
  const describe = <R>({ entry, reasons }: Chosen<Candidate, R>): PrunedSnapshot<R> => ({
    key: entry.key,
    name: entry.name,
    createdAt: new Date(entry.createdAtMs).toISOString(),
    ageSeconds: ageSeconds(clock, entry.createdAtMs),
    sizeBytes: entry.sizeBytes,
    reasons,
  });
  const removed = done.removed.map(describe);
  const kept = done.kept.map(describe);
  const failed = done.failed.map((each) => ({ ...describe(each), problem: each.problem }));
  return {
    store: store.name,
    dryRun,
    removed,
    kept,
    failed,
    damaged,
    freedBytes: bytesOf(removed),
    keptBytes: bytesOf(kept) + bytesOf(failed),
  };
}

function bytesOf(snapshots: readonly { readonly sizeBytes: number }[]): number {
  return snapshots.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function requireRule({ keepLast, keepWithinMs, maxBytes }: RetentionRules): void {
  if ((keepLast ?? keepWithinMs ?? maxBytes) !== undefined) return;
  throw new AppError('invalid-settings', 'prune needs a rule that says what to keep', {
    hint: 'For example: snapvol prune --keep-last 3 --keep-within 7d --max-size 20GB --dry-run',
  });
}

interface Removal extends Choice<Candidate> {
  readonly failed: readonly (Chosen<Candidate, RetentionRule> & { readonly problem: Problem })[];
}

/** Reading what is protected may have taken hours: what is there now is looked up once more. */
async function removeChosen(
  { log }: Pick<SnapshotTools, 'log'>,
  store: ListableStore,
  choice: Choice<Candidate>,
  signal: AbortSignal,
): Promise<Removal> {
  if (choice.removed.length === 0) return { ...choice, failed: [] };
  const now = new Map((await store.list(signal)).map((entry) => [entry.key, entry.createdAtMs]));
  const isSame = ({ key, createdAtMs }: Candidate): boolean => now.get(key) === createdAtMs;
  const lost = choice.kept.filter(({ entry }) => entry.guard === 'protected' && !isSame(entry));
  for (const { entry } of lost) {
    log.warn(`others have removed ${entry.key}: nothing of ${entry.name ?? ''} is removed`);
  }
  const held = new Set(lost.map(({ entry }) => entry.name));
  const kept = choice.kept.filter(({ entry }) => now.has(entry.key));
  const removed: Chosen<Candidate, RetentionRule>[] = [];
  const failed: Removal['failed'][number][] = [];
  for (const chosen of choice.removed) {
    const { entry } = chosen;
    if (held.has(entry.name)) {
      kept.push({ entry, reasons: ['held'] });
      continue;
    }
    const outcome = isSame(entry) ? await tryToRemove(store, entry.key, signal) : false;
    if (outcome === true) removed.push(chosen);
    else if (outcome === false) log.info(`${entry.key} has just been removed by others`);
    else failed.push({ ...chosen, problem: outcome });
  }
  return { removed, kept, failed };
}

async function tryToRemove(
  store: ListableStore,
  key: string,
  signal: AbortSignal,
): Promise<boolean | Problem> {
  try {
    return await store.remove(key, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError) || error.code !== 'store-unavailable') throw error;
    return { code: error.code, message: error.message };
  }
}
