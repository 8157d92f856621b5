/** Which snapshots are kept. A rule that is not set has no say. */
export interface RetentionRules {
  /** So many of the newest of each name. */
  readonly keepLast: number | undefined;
  /** Those that are younger. */
  readonly keepWithinMs: number | undefined;
  /** Of all together. Where more is kept by the other rules, the oldest go, whatever those say. */
  readonly maxBytes: number | undefined;
}

export interface RetentionEntry {
  readonly key: string;
  /** `undefined` where the manifest cannot be read: such a snapshot is never removed. */
  readonly name: string | undefined;
  readonly createdAtMs: number;
  readonly sizeBytes: number;
  /** Never removed either: the newest whole one of what is protected, or one of a name that has no whole one. */
  readonly guard?: Guard;
}

export type Guard = 'protected' | 'held';
/** The rules that a snapshot was removed by, or kept by. */
export type RetentionRule = 'keep-last' | 'keep-within' | 'max-size';
export type KeepReason = RetentionRule | Guard | 'unreadable';

export interface Choice<T> {
  readonly removed: readonly Chosen<T, RetentionRule>[];
  readonly kept: readonly Chosen<T, KeepReason>[];
}

export interface Chosen<T, R> {
  readonly entry: T;
  readonly reasons: readonly R[];
}

/**
 * Divides snapshots into those that stay and those that go, newest first. For each name, what any of `keepLast` and
 * `keepWithinMs` keeps stays, or all where neither is set; then the oldest of what stays go until it fits `maxBytes`.
 * What is guarded or has no name stays in any case, and takes its room.
 */
export function choose<T extends RetentionEntry>(
  entries: readonly T[],
  rules: RetentionRules,
  nowMs: number,
): Choice<T> {
  const sorted = entries.toSorted(newestFirst);
  const seen = new Map<string | undefined, number>();
  const verdicts = sorted.map((entry) => {
    const rank = seen.get(entry.name) ?? 0;
    seen.set(entry.name, rank + 1);
    return { entry, reasons: reasonsToKeep(entry, rank, rules, nowMs) };
  });
  const kept = verdicts.filter(({ reasons }) => reasons.length > 0);
  const surplus = surplusOf(kept, rules.maxBytes);
  const ruled: RetentionRule[] = [];
  if (rules.keepLast !== undefined) ruled.push('keep-last');
  if (rules.keepWithinMs !== undefined) ruled.push('keep-within');
  return {
    removed: verdicts.flatMap((verdict): Chosen<T, RetentionRule>[] => {
      const { entry, reasons } = verdict;
      if (reasons.length === 0) return [{ entry, reasons: ruled }];
      return surplus.has(verdict) ? [{ entry, reasons: ['max-size'] }] : [];
    }),
    kept: kept.filter((verdict) => !surplus.has(verdict)),
  };
}

/** Of two of the same moment, the one whose key is greater: versioned keys grow. */
export function newestFirst(a: RetentionEntry, b: RetentionEntry): number {
  return b.createdAtMs - a.createdAtMs || (a.key < b.key ? 1 : a.key > b.key ? -1 : 0);
}

/** @param rank how many of its name are newer */
function reasonsToKeep(
  entry: RetentionEntry,
  rank: number,
  { keepLast, keepWithinMs }: RetentionRules,
  nowMs: number,
): KeepReason[] {
  if (entry.name === undefined) return ['unreadable'];
  const reasons: KeepReason[] = [];
  if (entry.guard) reasons.push(entry.guard);
  if (keepLast !== undefined && rank < keepLast) reasons.push('keep-last');
  if (keepWithinMs !== undefined && nowMs - entry.createdAtMs < keepWithinMs) {
    reasons.push('keep-within');
  }
  const nothingElse = reasons.length === 0 && keepLast === undefined && keepWithinMs === undefined;
  if (nothingElse) reasons.push('max-size');
  return reasons;
}

function surplusOf<C extends Chosen<RetentionEntry, KeepReason>>(
  kept: readonly C[],
  maxBytes = Infinity,
): ReadonlySet<C> {
  const surplus = new Set<C>();
  let bytes = kept.reduce((sum, { entry }) => sum + entry.sizeBytes, 0);
  for (const chosen of kept.toReversed()) {
    if (bytes <= maxBytes) break;
    const { guard, name, sizeBytes } = chosen.entry;
    if (guard !== undefined || name === undefined) continue;
    surplus.add(chosen);
    bytes -= sizeBytes;
  }
  return surplus;
}
