import { formatAge, formatBytes } from '../format.ts';
import type { KeepReason, RetentionRule } from '../snapshot/retention.ts';
import type { PrunedSnapshot, PruneReport } from '../usecases/prune.ts';
import type { View } from './output.ts';
import { align, type Row } from './table.ts';

/** What goes and why, then what stays though no rule keeps it, then the sum. */
export function pruneView(report: PruneReport): View {
  const { dryRun, removed, kept, failed, freedBytes, keptBytes } = report;
  const verb = dryRun ? 'would remove' : 'removed';
  const rows: Row[] = [
    ...removed.map((each) => row(verb, each, removedText(each.reasons))),
    ...failed.map((each) => row('not removed', each, each.problem.message)),
    ...kept.flatMap((each) => {
      const why = each.reasons.map((reason) => keptTexts[reason]).find((text) => text !== '');
      return why === undefined ? [] : [row('kept', each, why)];
    }),
  ];
  const left = kept.length + failed.length;
  const sum = `${verb} ${removed.length} of ${removed.length + left} snapshots, ${formatBytes(freedBytes)}; ${left} left, ${formatBytes(keptBytes)}`;
  return {
    text: rows.length === 0 ? sum : `${align(rows)}\n${sum}`,
    json: report,
    failure: failed[0]?.problem.code,
  };
}

function row<R>(verb: string, { key, sizeBytes, ageSeconds }: PrunedSnapshot<R>, why: string): Row {
  return [verb, key, formatBytes(sizeBytes), formatAge(ageSeconds), why];
}

function removedText(reasons: readonly RetentionRule[]): string {
  if (reasons.includes('max-size')) return 'more than --max-size';
  return `not kept by ${reasons.map((reason) => `--${reason}`).join(' or ')}`;
}

/** Empty where a rule keeps it, as is to be expected. */
const keptTexts: Readonly<Record<KeepReason, string>> = {
  'keep-last': '',
  'keep-within': '',
  'max-size': '',
  protected: 'protected: the newest whole one',
  held: 'protected: no whole one is known',
  unreadable: 'its manifest cannot be read',
};
