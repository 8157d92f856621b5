import { expect, test } from '@jest/globals';

import { pruneView } from '../../../src/cli/output-prune.ts';
import type { PrunedSnapshot, PruneReport } from '../../../src/usecases/prune.ts';

function snapshot<R>(key: string, reasons: readonly R[]): PrunedSnapshot<R> {
  const createdAt = '2026-11-21T09:00:00.000Z';
  return { key, name: 'shop', createdAt, ageSeconds: 7200, sizeBytes: 1_500_000, reasons };
}

const report: PruneReport = {
  store: 'file:/s',
  dryRun: false,
  removed: [snapshot('shop-2', ['max-size']), snapshot('shop-1', ['keep-last', 'keep-within'])],
  kept: [
    snapshot('shop-5', ['keep-last']),
    snapshot('shop-4', ['protected', 'keep-within']),
    snapshot('shop-0', ['unreadable']),
    snapshot('blog-0', ['held']),
  ],
  failed: [],
  damaged: [],
  freedBytes: 3_000_000,
  keptBytes: 6_000_000,
};

test('what goes is shown with the rule, what stays where no rule keeps it, and the sum', () => {
  expect(pruneView(report).text.split('\n')).toEqual([
    'removed  shop-2  1.5 MB  2 h  more than --max-size',
    'removed  shop-1  1.5 MB  2 h  not kept by --keep-last or --keep-within',
    'kept     shop-4  1.5 MB  2 h  protected: the newest whole one',
    'kept     shop-0  1.5 MB  2 h  its manifest cannot be read',
    'kept     blog-0  1.5 MB  2 h  protected: no whole one is known',
    'removed 2 of 6 snapshots, 3.0 MB; 4 left, 6.0 MB',
  ]);
  expect(pruneView(report)).toMatchObject({ json: report, failure: undefined });
});

test('a dry run only would', () => {
  const lines = pruneView({ ...report, dryRun: true }).text.split('\n');
  expect(lines[0]).toBe('would remove  shop-2  1.5 MB  2 h  more than --max-size');
  expect(lines.at(-1)).toBe('would remove 2 of 6 snapshots, 3.0 MB; 4 left, 6.0 MB');
});

test('what could not be removed makes it fail', () => {
  const problem = { code: 'store-unavailable', message: 'EACCES' } as const;
  const view = pruneView({
    ...report,
    ...{ removed: [], kept: [], freedBytes: 0, keptBytes: 1_500_000 },
    failed: [{ ...snapshot('shop-1', ['keep-last']), problem }],
  });
  expect(view.text.split('\n')).toEqual([
    'not removed  shop-1  1.5 MB  2 h  EACCES',
    'removed 0 of 1 snapshots, 0 B; 1 left, 1.5 MB',
  ]);
  expect(view.failure).toBe('store-unavailable');
});
