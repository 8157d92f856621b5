import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { takeSample, type Sample } from '../../../src/snapshot/sample.ts';

const ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const anySample: fc.Arbitrary<Sample> = fc.oneof(
  fc.record({ kind: fc.constant('count' as const), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('share' as const), percent: fc.integer({ min: 1, max: 100 }) }),
);

describe('a sample', () => {
  test('has as many as it says, in their order, each once', () => {
    fc.assert(
      fc.property(fc.nat(30), anySample, (length, sample) => {
        const items = Array.from({ length }, (_, at) => at);
        const taken = takeSample(items, sample);
        const wanted =
          sample.kind === 'count' ? sample.count : Math.ceil((length * sample.percent) / 100);
        expect(taken).toHaveLength(Math.min(wanted, length));
        expect(taken).toEqual([...new Set(taken)].toSorted((a, b) => a - b));
      }),
    );
  });

  test('of a small share has one at least', () => {
    expect(takeSample(ten, { kind: 'share', percent: 1 })).toHaveLength(1);
    expect(takeSample([], { kind: 'share', percent: 1 })).toEqual([]);
  });

  test('is drawn: what is taken is decided by the random numbers', () => {
    const count = { kind: 'count', count: 3 } as const;
    expect(takeSample(ten, count, () => 0)).toEqual([1, 2, 3]);
    expect(takeSample(ten, count, () => 0.999)).toEqual([8, 9, 10]);
  });
});
