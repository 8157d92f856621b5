import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  choose,
  type Choice,
  type RetentionEntry,
  type RetentionRules,
} from '../../../src/snapshot/retention.ts';

const nowMs = 1000;
const noRules: RetentionRules = {
  keepLast: undefined,
  keepWithinMs: undefined,
  maxBytes: undefined,
};

/** `shop 900 10`: its key is name and moment. */
function entry(name: string | undefined, createdAtMs: number, sizeBytes = 1): RetentionEntry {
  return { key: `${name ?? '?'}-${createdAtMs}`, name, createdAtMs, sizeBytes };
}

function keysOf({ removed, kept }: Choice<RetentionEntry>): unknown {
  const show = ({ entry, reasons }: { entry: RetentionEntry; reasons: readonly string[] }) =>
    `${entry.key}: ${reasons.join(', ')}`;
  return { removed: removed.map(show), kept: kept.map(show) };
}

describe('a choice', () => {
  test('keeps the last ones of each name', () => {
    const entries = [entry('a', 100), entry('a', 300), entry('b', 50), entry('a', 200)];
    expect(keysOf(choose(entries, { ...noRules, keepLast: 2 }, nowMs))).toEqual({
      removed: ['a-100: keep-last'],
      kept: ['a-300: keep-last', 'a-200: keep-last', 'b-50: keep-last'],
    });
  });

  test('keeps what is younger, to the millisecond, and what comes from the future', () => {
    const entries = [entry('a', 900), entry('a', 901), entry('b', 2000)];
    expect(keysOf(choose(entries, { ...noRules, keepWithinMs: 100 }, nowMs))).toEqual({
      removed: ['a-900: keep-within'],
      kept: ['b-2000: keep-within', 'a-901: keep-within'],
    });
  });

  test('removes by both rules only what neither of them keeps', () => {
    const entries = [entry('a', 1), entry('a', 2), entry('b', 950), entry('b', 960)];
    const rules = { ...noRules, keepLast: 1, keepWithinMs: 100 };
    expect(keysOf(choose(entries, rules, nowMs))).toEqual({
      removed: ['a-1: keep-last, keep-within'],
      kept: ['b-960: keep-last, keep-within', 'b-950: keep-within', 'a-2: keep-last'],
    });
  });

  test('removes the oldest of all names until it fits, and no more', () => {
    const entries = [entry('a', 1, 5), entry('b', 2, 5), entry('a', 3, 5), entry('b', 4, 5)];
    expect(keysOf(choose(entries, { ...noRules, maxBytes: 10 }, nowMs))).toEqual({
      removed: ['b-2: max-size', 'a-1: max-size'],
      kept: ['b-4: max-size', 'a-3: max-size'],
    });
    expect(choose(entries, { ...noRules, maxBytes: 20 }, nowMs).removed).toEqual([]);
    // Also what the other rules would keep.
    const rules = { ...noRules, keepLast: 1, maxBytes: 5 };
    expect(keysOf(choose(entries, rules, nowMs))).toEqual({
      removed: ['a-3: max-size', 'b-2: keep-last', 'a-1: keep-last'],
      kept: ['b-4: keep-last'],
    });
  });

  test('leaves what is guarded and what has no name, though they take room', () => {
    const entries: RetentionEntry[] = [
      { ...entry('a', 1, 5), guard: 'protected' },
      { ...entry('a', 2, 5), guard: 'held' },
      entry(undefined, 3, 5),
      entry('a', 4, 5),
    ];
    const rules = { keepLast: 1, keepWithinMs: 1, maxBytes: 15 };
    expect(keysOf(choose(entries, rules, nowMs))).toEqual({
      removed: ['a-4: max-size'],
      kept: ['?-3: unreadable', 'a-2: held', 'a-1: protected'],
    });
  });

  test('takes the greater key for the newer one where moments are the same', () => {
    const twins = ['a-20260101', 'a-20260102'].map((key) => ({ ...entry('a', 1), key }));
    const { kept } = choose(twins, { ...noRules, keepLast: 1 }, nowMs);
    expect(kept.map((each) => each.entry.key)).toEqual(['a-20260102']);
  });
});

describe('any choice', () => {
  const someEntry = fc.record(
    {
      name: fc.constantFrom('a', 'b', 'c', undefined),
      createdAtMs: fc.integer({ min: 0, max: 1100 }),
      sizeBytes: fc.nat(100),
      guard: fc.constantFrom('protected' as const, 'held' as const),
    },
    { requiredKeys: ['name', 'createdAtMs', 'sizeBytes'] },
  );
  const someEntries = fc
    .array(someEntry, { maxLength: 30 })
    .map((all) => all.map((each, at): RetentionEntry => ({ ...each, key: `k${at}` })));
  const maybe = (min: number, max: number) =>
    fc.option(fc.integer({ min, max }), { nil: undefined });
  const someRules: fc.Arbitrary<RetentionRules> = fc.record({
    keepLast: maybe(1, 5),
    keepWithinMs: maybe(1, 1100),
    maxBytes: maybe(1, 2000),
  });

  function check(property: (entries: RetentionEntry[], rules: RetentionRules) => void): void {
    fc.assert(fc.property(someEntries, someRules, property));
  }

  const entriesOf = (chosen: readonly { readonly entry: RetentionEntry }[]): RetentionEntry[] =>
    chosen.map(({ entry }) => entry);
  const bytesOf = (entries: readonly RetentionEntry[]): number =>
    entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const isSafe = ({ name, guard }: RetentionEntry): boolean =>
    name === undefined || guard !== undefined;

  test('puts each snapshot in one of two places, newest first, with a reason', () => {
    check((entries, rules) => {
      const { removed, kept } = choose(entries, rules, nowMs);
      expect(new Set([...entriesOf(removed), ...entriesOf(kept)])).toEqual(new Set(entries));
      expect(removed.length + kept.length).toBe(entries.length);
      for (const half of [removed, kept]) {
        const moments = half.map(({ entry }) => entry.createdAtMs);
        expect(moments).toEqual(moments.toSorted((a, b) => b - a));
        expect(half.every(({ reasons }) => reasons.length > 0)).toBe(true);
      }
    });
  });

  test('does not depend on the order of the snapshots', () => {
    check((entries, rules) => {
      expect(choose(entries.toReversed(), rules, nowMs)).toEqual(choose(entries, rules, nowMs));
    });
  });

  test('removes nothing that is guarded or has no name', () => {
    check((entries, rules) => {
      expect(entriesOf(choose(entries, rules, nowMs).removed).filter(isSafe)).toEqual([]);
    });
  });

  test('keeps the last ones of each name and the young ones, where the size is no matter', () => {
    check((entries, { keepLast, keepWithinMs }) => {
      const rules = { keepLast, keepWithinMs, maxBytes: undefined };
      const removed = entriesOf(choose(entries, rules, nowMs).removed);
      for (const { name, createdAtMs } of removed) {
        const newer = entries.filter((e) => e.name === name && e.createdAtMs >= createdAtMs);
        expect(newer.length).toBeGreaterThan(keepLast ?? 0);
        expect(nowMs - createdAtMs).toBeGreaterThanOrEqual(keepWithinMs ?? 0);
      }
    });
  });

  test('fits the size, unless what is never removed is larger alone', () => {
    check((entries, rules) => {
      const kept = entriesOf(choose(entries, rules, nowMs).kept);
      if (bytesOf(kept) > (rules.maxBytes ?? Infinity)) expect(kept.every(isSafe)).toBe(true);
    });
  });

  test('removes by size only what is older than all that it leaves', () => {
    check((entries, rules) => {
      const { removed, kept } = choose(entries, rules, nowMs);
      const bySize = removed.filter(({ reasons }) => reasons.includes('max-size'));
      const newest = Math.max(...bySize.map(({ entry }) => entry.createdAtMs));
      const rest = entriesOf(kept).filter((entry) => !isSafe(entry));
      expect(rest.every(({ createdAtMs }) => createdAtMs >= newest)).toBe(true);
    });
  });

  test('has nothing to remove the second time', () => {
    check((entries, rules) => {
      const kept = entriesOf(choose(entries, rules, nowMs).kept);
      expect(choose(kept, rules, nowMs).removed).toEqual([]);
    });
  });
});
