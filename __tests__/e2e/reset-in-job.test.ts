import { expect, test } from '@jest/globals';

import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { query, queryUrl, rowCount, seedScript } from '../support/postgres.ts';
import { nothing, startJob } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

const scratch = useScratch();
const count = 'select count(*) from item';

test('a job gets a database for each worker, puts one back, and leaves nothing', async () => {
  await using job = await startJob();
  const step = await job.step({
    ...{ image: testImage('postgres:17'), name: 'shop', port: '0', clones: '2', seed: seedScript },
    ...{ user: 'app', password: 'p/w:d', store: `file:${await scratch.folder('store')}` },
  });
  expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  const { url = '', urls = '', container = '', ...rest } = step.outputs;
  const [first = '', second = ''] = JSON.parse(urls) as string[]; // as users read it
  expect([first, second].map((each) => new URL(each).port)).toEqual([
    rest['port-1'],
    rest['port-2'],
  ]);
  expect(new Set([url, first, second]).size).toBe(3);
  for (const each of [url, first, second]) {
    expect(step.masks).toContain(each);
    expect(await queryUrl(each, count)).toBe(String(rowCount));
  }

  const login = { user: 'app', database: 'app' };
  await query(container, 'delete from item', login);
  await queryUrl(first, 'delete from item where id > 1');
  await queryUrl(second, 'drop table item');
  const reset = await job.subStep('reset', { name: 'shop-2' });
  expect(reset).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(Number(reset.outputs['reset-seconds'])).toBeGreaterThan(0);
  expect(await queryUrl(second, count)).toBe(String(rowCount));
  expect(await queryUrl(first, count)).toBe('1');
  expect(await query(container, count, login)).toBe('0');

  for (const [name, problem] of [
    ['shop-3', 'shop-3'],
    ['', 'give the name'],
  ] as const) {
    const refused = await job.subStep('reset', { name });
    expect(refused).toMatchObject({ exitCode: 1, errors: [expect.stringContaining(problem)] });
  }
  expect(await step.post()).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(await job.leftovers()).toEqual(nothing);
  expect(await docker('volume', 'ls', '--quiet', '--filter', `label=${job.label}`)).toBe('');
});
