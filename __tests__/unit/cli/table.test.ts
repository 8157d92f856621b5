import { expect, test } from '@jest/globals';

import { align, table } from '../../../src/cli/table.ts';

test('columns are as wide as their widest cell, but the last', () => {
  const rows = [
    ['a', 'long', 'x'],
    ['longer', 'b', ''],
  ];
  expect(table(['A', 'B', 'C'], rows).split('\n')).toEqual([
    'A       B     C',
    'a       long  x',
    'longer  b',
  ]);
});

test('a cell does not steer the terminal', () => {
  expect(align([['\u001b[31mred\n', 'é']])).toBe('?[31mred?  é');
});
