import { expect, test } from '@jest/globals';

import { describeSavings, savingsOf } from '../../../src/usecases/savings.ts';

test('what was saved is the seeding less the restore; image and check would have been there, too', () => {
  const path = [
    { name: 'image', seconds: 20 },
    { name: 'restore', seconds: 1.5 },
    { name: 'ready', seconds: 0.3 },
    { name: 'check', seconds: 5 },
    { name: 'other', seconds: 0.2 },
  ] as const;
  const saved = savingsOf({ initSeconds: 3.1, seedSeconds: 11.9 }, path);
  expect(saved).toEqual({ seedingSeconds: 15, savedSeconds: 13 });
  expect(saved && describeSavings(saved)).toBe('13.0 s less than seeding (15.0 s)');
  const slower = savingsOf({ initSeconds: 1.2, seedSeconds: 0 }, path);
  expect(slower).toEqual({ seedingSeconds: 1.2, savedSeconds: -0.8 });
  expect(slower && describeSavings(slower)).toBe('0.8 s slower than seeding (1.2 s)');
  expect(savingsOf({ initSeconds: 1, seedSeconds: null }, path)).toBeUndefined();
});
