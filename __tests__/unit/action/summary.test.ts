import { describe, expect, test } from '@jest/globals';

import { gantt } from '../../../src/action/gantt.ts';
import { startSummary, volumesSummary } from '../../../src/action/summary.ts';
import { phaseNames } from '../../../src/usecases/phases.ts';
import { hostileText, makeReport } from '../../support/reports.ts';

const none = { savedSeconds: 0, databases: 0 };

/** The rows of the first table: header and cell, as they stand in the HTML. */
function rowsOf(summary: string): Record<string, string> {
  const [table = ''] = /<table>[^]*?<\/table>/.exec(summary) ?? [];
  const rows = table.matchAll(/<th align="left">(.*?)<\/th><td>(.*?)<\/td>/g);
  return Object.fromEntries([...rows].map(([, name = '', value = '']) => [name, value]));
}

describe('the summary of a start', () => {
  test('tells how the data came, how much it is, and what that saved', () => {
    expect(rowsOf(startSummary(makeReport(), { savedSeconds: 20.5, databases: 2 }))).toEqual({
      Result: 'hit',
      Key: '<code>k1</code>',
      Snapshot: '9.0 MB, unpacked 65 MB, in <code>file:/s</code>',
      Restore: '65 MB in 1.3 s, 50 MB/s',
      Save: 'skipped: <code>it was restored</code>',
      Time: '2.0 s: search 0.4, restore 1.3, other 0.3; beside it image 0.3',
      Savings: '13.0 s less than seeding (15.0 s); in this job so far 20.5 s, over 2 restores',
    });
    const slower = makeReport({ savings: { seedingSeconds: 1, savedSeconds: -0.4 } });
    expect(rowsOf(startSummary(slower, { savedSeconds: -0.4, databases: 1 }))['Savings']).toBe(
      '0.4 s slower than seeding (1.0 s)',
    );
    const miss = makeReport({
      ...{ outcome: 'miss', missReason: 'no snapshot for this key', snapshot: undefined },
      ...{ save: { kind: 'failed', reason: 'disk full' }, savings: undefined },
    });
    const missed = rowsOf(startSummary(miss, none));
    expect(missed).toMatchObject({
      Result: 'miss: <code>no snapshot for this key</code>',
      Snapshot: 'none',
      Save: 'failed: <code>disk full</code>',
    });
    expect(Object.keys(missed)).not.toContain('Savings');
    const base = makeReport({ ...miss, outcome: 'base', matchedKey: 'k0' });
    const after = rowsOf(startSummary(base, { savedSeconds: 13, databases: 1 }));
    expect(after).toMatchObject({ Base: '<code>k0</code>' });
    expect(after['Savings']).toBe('in this job so far 13.0 s, over 1 restore');
  });

  test('is small and whole, whatever others have written', () => {
    const long = hostileText.repeat(200);
    const parts = Array.from({ length: 20_000 }, (_, i) => ({ name: `${i}<${long}`, value: long }));
    const largestTables = Array.from({ length: 10 }, () => ({ name: long, bytes: 1 }));
    const report = makeReport({
      ...{ name: long, image: long, key: long, store: long, matchedKey: long, keyParts: parts },
      ...{ outcome: 'base', missReason: long, save: { kind: 'failed', reason: long } },
      snapshot: {
        ...{ digest: 'd', sizeBytes: 1, unpackedBytes: 1, initSeconds: 1e308, seedSeconds: 1e308 },
        largestTables,
      },
    });
    const summary = startSummary(report, none);
    expect(Buffer.byteLength(summary)).toBeLessThan(1024 * 1024);
    expect(summary).toContain('and 19900 more');
    expect(summary).not.toMatch(/<script|<img|onerror=alert\(1\)>|evil\.example"/);
    expect(summary.match(/^```.*$/gm)).toEqual(['```mermaid', '```']);
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(summary).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u0085\u2028\u202e]/);
    expect(summary.isWellFormed()).toBe(true);
    const volumes = Array.from({ length: 9000 }, () => ({ name: long, sizeBytes: 1 }));
    const saved = volumesSummary({
      ...{ title: 'Save a snapshot', result: 'not saved', reason: long, key: long, volumes },
    });
    expect(Buffer.byteLength(saved)).toBeLessThan(1024 * 1024);
  });
});

test('the summary of a sub-action is one table of what happened', () => {
  const summary = volumesSummary({
    ...{ title: 'Restore a snapshot', result: 'base', reason: 'shop-1', key: 'shop-2' },
    volumes: [{ name: 'shop_db', sizeBytes: 30_000_000 }],
    ...{ copy: { bytes: 30_000_000, seconds: 1.5 }, totalSeconds: 2.04 },
  });
  expect(rowsOf(summary)).toEqual({
    Result: 'base: <code>shop-1</code>',
    Key: '<code>shop-2</code>',
    Volume: '<code>shop_db</code> 30 MB',
    Copy: '30 MB in 1.5 s, 20 MB/s',
    Time: '2.0 s',
  });
  const miss = volumesSummary({ title: 'Restore a snapshot', result: 'miss', key: 'k' });
  expect(rowsOf(miss)).toEqual({ Result: 'miss', Key: '<code>k</code>' });
});

describe('the chart', () => {
  test('has a bar for each phase, in the order in which they began', () => {
    const chart = gantt(
      [
        { name: 'restore', startSeconds: 0.4, seconds: 1, inVain: true },
        { name: 'search', startSeconds: 0, seconds: 0.4, inVain: false },
        { name: 'image', startSeconds: 0, seconds: 0.1, inVain: false },
        { name: 'seed', startSeconds: 1.4, seconds: 0, inVain: false },
      ],
      [
        { name: 'search', seconds: 0.4 },
        { name: 'seed', seconds: 0 },
      ],
    );
    expect(chart.split('\n').slice(5, -1)).toEqual([
      '  search 0.4 s :0, 400',
      '  image 0.1 s :done, 0, 100',
      '  restore 1.0 s :crit, 400, 1400',
      '  seed 0.0 s :1400, 1407',
    ]);
    expect(gantt([], [])).toBe('');
  });

  test('has only names that are none of its own words', () => {
    expect(
      phaseNames.filter((name) => !/^(?!title|section|click|done|crit|active)[a-z]+$/.test(name)),
    ).toEqual([]);
  });
});
