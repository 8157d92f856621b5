import { expect, test } from '@jest/globals';

import { PathTable } from '../../../src/runtime/path-table.ts';

test('a path keeps its first value, among many others', () => {
  const table = new PathTable();
  const pathOf = (i: number): string => `folder/${i}`;
  for (let i = 0; i < 5000; i++) expect(table.add(pathOf(i), 1 + (i % 3))).toBe(1 + (i % 3));
  expect(table.size).toBe(5000);
  expect(table.add(pathOf(7), 200)).toBe(2);
  expect(table.size).toBe(5000);
  for (let i = 0; i < 5000; i++) expect(table.get(pathOf(i))).toBe(1 + (i % 3));
  expect(table.get('folder')).toBeUndefined();
  expect(table.get('')).toBeUndefined();
});
