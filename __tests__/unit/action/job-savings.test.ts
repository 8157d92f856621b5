import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { addSavings, removeSavings } from '../../../src/action/job-savings.ts';
import { useScratch } from '../../support/store-bundles.ts';

const scratch = useScratch();

test('the savings of a job add up, and what is damaged counts as nothing', async () => {
  const dir = await scratch.folder('temp');
  const none = { savedSeconds: 0, databases: 0 };
  expect(await addSavings(dir, 'job-1', undefined)).toEqual(none);
  expect(await readdir(dir)).toEqual([]);
  await addSavings(dir, 'job-1', 12.5);
  expect(await addSavings(dir, 'job-1', -0.5)).toEqual({ savedSeconds: 12, databases: 2 });
  expect(await addSavings(dir, 'job-1', undefined)).toEqual({ savedSeconds: 12, databases: 2 });
  expect(await addSavings(dir, 'job-2', undefined)).toEqual(none);
  const [file = ''] = await readdir(dir);
  for (const damaged of [
    '',
    '{"savedSeconds": 1',
    'null',
    '[]',
    '{"savedSeconds": "9", "databases": 1}',
  ]) {
    await writeFile(join(dir, file), damaged);
    expect(await addSavings(dir, 'job-1', undefined)).toEqual(none);
  }
  await removeSavings(dir, 'job-1');
  await removeSavings(dir, 'job-1');
  expect(await readdir(dir)).toEqual([]);
});
