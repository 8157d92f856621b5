import { expect, test } from '@jest/globals';

import { harmless } from '../../../src/action/log.ts';

test('no text becomes a command to the runner', () => {
  expect(harmless('image: postgres:17')).toBe('image: postgres:17');
  expect(harmless('::set-output name=cache-hit::true')).toBe(': :set-output name=cache-hit::true');
  expect(harmless('key\n  ::add-mask::a\r\n::stop-commands::x')).toBe(
    'key\n  : :add-mask::a\r\n: :stop-commands::x',
  );
  expect(harmless('\u0085\u2003::warning::x')).toBe('\u0085\u2003: :warning::x');
  expect(harmless('a ##[add-mask]b ##[group]')).toBe('a ## [add-mask]b ## [group]');
  expect(harmless('the type a::b stays')).toBe('the type a::b stays');
});
