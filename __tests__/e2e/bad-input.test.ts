import { readdir } from 'node:fs/promises';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { testImage } from '../support/images.ts';
import { nothing, startJob } from '../support/runner.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';
import { rows } from './bad-input-rows.ts';

let scratch: ScratchFolder;
beforeEach(async () => {
  scratch = await createScratch();
});
afterEach(async () => {
  await scratch.remove();
});

test.each(rows)('$what: says so, with a hint, and leaves nothing behind', async (row) => {
  await using cleanup = new AsyncDisposableStack();
  const given = (await row.given?.(cleanup)) ?? {};
  const store = await scratch.folder('store');
  const job = cleanup.use(await startJob());
  const step = await job.step(
    {
      image: testImage('postgres:17'),
      port: '0',
      store: `file:${store}`,
      ...row.inputs,
      ...given.inputs,
    },
    given.options,
  );
  const said = row.survives ? step.warnings : step.errors;
  for (const words of [...row.words, ...(given.words ?? []), row.hint])
    expect(said.join('\n')).toContain(words);
  expect(step.log).toContain(row.log ?? '');
  expect(step.outputs['cache-hit']).toBe('false');

  if (row.survives) {
    expect(step).toMatchObject({ exitCode: 0, errors: [] });
    await step.post();
  } else {
    expect(step).toMatchObject({ exitCode: 1, errors: [expect.anything()] });
  }
  expect(await job.leftovers()).toEqual(nothing);
  expect(await readdir(store)).toEqual([]);
});
