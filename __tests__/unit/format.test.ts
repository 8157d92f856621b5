import { expect, test } from '@jest/globals';

import { formatAge } from '../../src/format.ts';

const hour = 3600;

test.each([
  [-5, '0 s'],
  [59.9, '59 s'],
  [60, '1 min'],
  [hour - 1, '59 min'],
  [3 * hour, '3 h'],
  [48 * hour - 1, '47 h'],
  [48 * hour, '2 d'],
  [400 * 24 * hour, '400 d'],
])('an age of %d seconds is %s', (seconds, text) => {
  expect(formatAge(seconds)).toBe(text);
});
