import { describe, expect, test } from '@jest/globals';

import { readPruneRequest, readVerifyRequest } from '../../../src/cli/upkeep-flags.ts';

describe('the flags of prune', () => {
  test('are read', () => {
    const values = {
      ...{ 'keep-last': '3', 'keep-within': '7d', 'max-size': '5GB', 'dry-run': 'true' },
      protect: 'shop\nblog-*',
    };
    expect(readPruneRequest({ argument: 'a\nb', values })).toEqual({
      names: ['a', 'b'],
      rules: { keepLast: 3, keepWithinMs: 7 * 24 * 60 * 60 * 1000, maxBytes: 5e9 },
      protect: ['shop', 'blog-*'],
      dryRun: true,
    });
  });

  test('have no say where they are not given', () => {
    expect(readPruneRequest({ argument: '', values: {} })).toEqual({
      names: [],
      rules: { keepLast: undefined, keepWithinMs: undefined, maxBytes: undefined },
      protect: [],
      dryRun: false,
    });
  });

  test.each([
    ['keep-last', '0'],
    ['keep-within', '7'],
    ['max-size', '5'],
    ['protect', ''],
    ['protect', 'shop\n '],
  ])('are refused by name: --%s "%s"', (flag, value) => {
    expect(() => readPruneRequest({ argument: '', values: { [flag]: value } })).toThrow(
      expect.objectContaining({
        code: 'invalid-settings',
        message: expect.stringContaining(`--${flag}: `),
      }),
    );
  });
});

describe('the arguments of verify', () => {
  test('are one snapshot, or which of several', () => {
    const read = (argument: string, values = {}) => readVerifyRequest({ argument, values });
    expect(read('shop')).toEqual({ kind: 'one', key: 'shop' });
    expect(read('')).toEqual({ kind: 'several', name: undefined, sample: undefined });
    expect(read('', { name: 'shop', sample: '20%' })).toEqual({
      ...{ kind: 'several', name: 'shop', sample: { kind: 'share', percent: 20 } },
    });
    for (const values of [{ name: 'a' }, { sample: '3' }]) {
      expect(() => read('shop', values)).toThrow('is for several snapshots, and shop is given');
    }
    expect(() => read('', { sample: '0' })).toThrow('--sample: "0" is neither');
  });
});
