import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import { matchesPattern } from '../../../src/snapshot/pattern.ts';

test.each([
  ['shop', 'shop', true],
  ['shop', 'shop-2', false],
  ['shop*', 'shop-2', true],
  ['shop*', 'shop', true],
  ['*shop', 'my-shop', true],
  ['*shop', 'my-shop-2', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['*', '', true],
  ['**', 'x\ny', true],
  ['a.c', 'abc', false],
  ['', '', true],
  ['', 'a', false],
])('"%s" and "%s": %s', (pattern, text, matches) => {
  expect(matchesPattern(pattern, text)).toBe(matches);
});

test('a pattern stands for what a regular expression of it stands for', () => {
  const short = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
  fc.assert(
    fc.property(short, short, (pattern, text) => {
      const expression = new RegExp(`^${pattern.replaceAll(/\*+/g, '[^]*')}$`);
      expect(matchesPattern(pattern, text)).toBe(expression.test(text));
    }),
  );
});
