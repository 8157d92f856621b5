import type { Log } from '../log.ts';
import { matchesPattern } from '../snapshot/pattern.ts';
import { newestFirst, type Guard } from '../snapshot/retention.ts';
import type { CatalogueEntry } from './catalogue.ts';
import type { SnapshotTools } from './context.ts';
import { judge, type Problem, type Verdict } from './verify.ts';

export interface Guarded {
  /** By key. */
  readonly guards: ReadonlyMap<string, Guard>;
  /** Keys of what others have removed in the meantime. */
  readonly gone: ReadonlySet<string>;
  readonly damaged: readonly { readonly key: string; readonly problem: Problem }[];
}

/**
 * Finds what must stay: for each name and each pattern, the newest whole snapshot of those whose name or key the
 * pattern matches; where none of them is whole, everything of that name. Reads every byte of as few as possible.
 */
export async function guardSnapshots(
  tools: SnapshotTools,
  entries: readonly CatalogueEntry[],
  protect: readonly string[],
  signal: AbortSignal,
): Promise<Guarded> {
  const guards = new Map<string, Guard>();
  const verdicts = new Map<string, Verdict>();
  const verdictOf = async (key: string): Promise<Verdict> => {
    const verdict = verdicts.get(key) ?? (await judge(tools, key, `verifying ${key}`, signal));
    if (!verdicts.has(key)) warnOfDamage(verdict, tools.log);
    verdicts.set(key, verdict);
    return verdict;
  };
  for (const [name, ofName] of Map.groupBy(entries.toSorted(newestFirst), ({ name }) => name)) {
    if (name === undefined) continue;
    for (const pattern of protect) {
      const matching = ofName.filter((entry) => matches(pattern, entry));
      const outcome = await newestWhole(matching, verdictOf);
      if (outcome.kind === 'whole') guards.set(outcome.key, 'protected');
      if (outcome.kind !== 'damaged') continue;
      tools.log.warn(
        `no snapshot of ${name} that "${pattern}" protects is whole: nothing of ${name} is removed`,
      );
      for (const { key } of ofName) if (!guards.has(key)) guards.set(key, 'held');
    }
  }
  const all = [...verdicts.values()];
  return {
    guards,
    gone: new Set(all.flatMap((each) => (each.state === 'gone' ? [each.key] : []))),
    damaged: all.flatMap((each) =>
      'problem' in each ? [{ key: each.key, problem: each.problem }] : [],
    ),
  };
}

type Newest =
  | { readonly kind: 'whole'; readonly key: string }
  /** There are some, and none is whole. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'none' };

async function newestWhole(
  entries: readonly CatalogueEntry[],
  verdictOf: (key: string) => Promise<Verdict>,
): Promise<Newest> {
  let kind: 'damaged' | 'none' = 'none';
  for (const { key } of entries) {
    const { state } = await verdictOf(key);
    if (state === 'whole') return { kind: 'whole', key };
    if (state !== 'gone') kind = 'damaged';
  }
  return { kind };
}

/** Names and patterns that nothing in the store has are mostly typing errors. */
export function warnOfStrangers(
  entries: readonly CatalogueEntry[],
  names: readonly string[],
  protect: readonly string[],
  log: Log,
): void {
  for (const name of names) {
    if (!entries.some((entry) => entry.name === name)) log.warn(`no snapshot has the name ${name}`);
  }
  for (const pattern of protect) {
    if (!entries.some((entry) => matches(pattern, entry))) {
      log.warn(`"${pattern}" protects nothing: no snapshot has such a name or key`);
    }
  }
}

function warnOfDamage(verdict: Verdict, log: Log): void {
  if (!('problem' in verdict)) return;
  const what = verdict.state === 'damaged' ? 'is damaged' : 'could not be verified';
  log.warn(`${verdict.key} ${what}: ${verdict.problem.message}`);
}

function matches(pattern: string, { name, key }: CatalogueEntry): boolean {
  return (name !== undefined && matchesPattern(pattern, name)) || matchesPattern(pattern, key);
}
