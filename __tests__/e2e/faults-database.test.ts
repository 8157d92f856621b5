import { readdir } from 'node:fs/promises';

import { beforeAll, beforeEach, expect, test } from '@jest/globals';

import { testImage } from '../support/images.ts';
import { useOwnEngine } from '../support/own-engine.ts';
import { query, sqlScript } from '../support/postgres.ts';
import { nothing, startJob, type Inputs } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';
import { startBystander, wholeState, type WholeState } from '../support/whole-state.ts';

// The database ends when nobody has told it to; or the clock of the machine is set meanwhile.

useOwnEngine('600m', ['postgres:17', 'redis:7']);
const scratch = useScratch();

const redis: Inputs = { image: testImage('redis:7') };
const cli = 'docker exec "$SNAPVOL_CONTAINER" redis-cli';
/** 300 MB in all. */
const tooMuch = `${cli} eval 'for n = 1, 300 do redis.call("set", n, string.rep("x", 1e6)) end' 0`;
/** Its readiness command ends it, and says that it is ready. */
const mortal: Inputs = {
  ...redis,
  engine: 'generic',
  'data-path': '/data',
  'container-port': '6379',
  'ready-command': 'redis-cli shutdown nosave; true',
};

let before: WholeState;
beforeAll(startBystander);
beforeEach(async () => {
  before = await wholeState();
});

test.each<{ what: string; inputs: Inputs; says: RegExp }>([
  {
    what: 'runs out of memory during the seed',
    inputs: { ...redis, options: '--memory 64m', seed: tooMuch },
    says: /the database ran out of memory during seed/,
  },
  {
    what: 'crashes during the seed that goes on',
    inputs: { ...redis, seed: 'docker kill "$SNAPVOL_CONTAINER"' },
    says: /the database exited with code 137 during seed/,
  },
  {
    what: 'crashes during the check',
    inputs: { ...redis, seed: 'true', check: `docker kill "$SNAPVOL_CONTAINER"; ${cli} ping` },
    says: /the database exited with code 137 during check/,
  },
  {
    what: 'ends right after it was ready',
    inputs: { ...mortal, seed: 'true' },
    // The engine may notice its end before that of the readiness command, or only while the seed runs.
    says: /the database exited with code 0 ((right after|before) it was ready|during seed)/,
  },
])('a database that $what: the step fails, and leaves nothing', async ({ inputs, says }) => {
  const store = await scratch.folder('store');
  await using job = await startJob();
  const step = await job.step({ ...inputs, port: '0', store: `file:${store}` });
  expect(await job.leftovers()).toEqual(nothing);
  expect(step).toMatchObject({ exitCode: 1, errors: [expect.stringMatching(says)] });
  expect(step.log).toContain('Ready to accept connections'); // the end of its own log
  expect(await readdir(store)).toEqual([]);
  expect(await wholeState()).toEqual(before);
});

/** For NODE_OPTIONS: sets the clock by so many days when a second has gone by, in the middle of what is done. */
function clockSetBy(days: number): string {
  const code = `const { now } = Date;
    Date.now = () => now() + (performance.now() > 1000 ? ${days * 24 * 60 * 60 * 1000} : 0);`;
  return `--import data:text/javascript,${encodeURIComponent(code)}`;
}

test.each([2, -2])('a clock that is set by %d days meanwhile changes nothing', async (days) => {
  const store = await scratch.folder('store');
  for (const hit of ['false', 'true']) {
    await using job = await startJob({ env: { NODE_OPTIONS: clockSetBy(days) } });
    const step = await job.step({
      ...{ image: testImage('postgres:17'), port: '0', store: `file:${store}` },
      seed: sqlScript('create table item as select 42 as id;'),
    });
    expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
    expect(await query(step.outputs['container'] ?? '', 'select id from item')).toBe('42');
    expect(step.log).not.toMatch(/-\d+(\.\d+)? s\b|\d{5,}(\.\d+)? s\b/);
    for (const name of ['seed-seconds', 'restore-seconds']) {
      expect(step.outputs[name] ?? '').toMatch(/^(|\d{1,3}(\.\d+)?)$/);
    }
    await step.post();
  }
  expect((await wholeState({ store })).snapshots).toHaveLength(1);
  expect(await wholeState()).toEqual(before);
});
