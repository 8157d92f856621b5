import { expect, test } from '@jest/globals';

import { fuzz } from '../../support/fuzz/fuzz.ts';

// script/fuzz does many more.
test('mutated bundles are read as they are, or refused', async () => {
  expect(await fuzz(3, 1)).toEqual({ outcomes: { whole: 3 }, failures: [] });
  const { outcomes, failures } = await fuzz(300, 1, 3);
  expect(failures).toEqual([]);
  expect(outcomes).toMatchObject({
    whole: expect.any(Number),
    'snapshot-corrupt': expect.any(Number),
  });
});
