import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { runCli, useNames } from '../support/cli.ts';
import { docker, madeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { startJob, type Inputs } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

// Several at one time, with one key, or one name.

const image = testImage('redis:7');
const scratch = useScratch();
const newName = useNames('at-once');

/** Seeds of two that go on when both have come so far: neither has saved by then. */
function seedsThatMeet(folder: string): [string, string] {
  const [a, b] = [join(folder, 'a'), join(folder, 'b')];
  execFileSync('mkfifo', [a, b]);
  const seed = (mine: string, other: string, value: string): string => `
    echo here >${other} & read -r line <${mine}; wait
    docker exec "$SNAPVOL_CONTAINER" redis-cli set who ${value}`;
  return [seed(a, b, 'one'), seed(b, a, 'two')];
}

const who = (container = ''): Promise<string> =>
  docker('exec', container, 'redis-cli', 'get', 'who');

describe('two jobs that save one key', () => {
  let service: ResultsService;
  beforeAll(async () => {
    service = await startResultsService();
  });
  afterAll(() => service.close());

  test.each(['file', 'actions-cache'])(
    'both serve, one of them saves, and what it saves is whole (%s)',
    async (kind) => {
      await using cleanup = new AsyncDisposableStack();
      const dir = await scratch.folder('store');
      const store = kind === 'file' ? `file:${dir}` : kind;
      const inputs: Inputs = { image, port: '0', key: 'shop', store };
      const seeds = seedsThatMeet(await scratch.folder('meet'));
      const steps = await Promise.all(
        seeds.map(async (seed) => {
          const job = cleanup.use(await startJob({ env: service.env }));
          return job.step({ ...inputs, seed });
        }),
      );
      for (const step of steps) expect(step).toMatchObject({ exitCode: 0, errors: [] });
      const values = await Promise.all(steps.map(({ outputs }) => who(outputs['container'])));
      expect(values).toEqual(['one', 'two']);
      const saved = steps.findIndex(({ log }) => log.includes('saved shop'));
      // By the time that the second one comes, the first is done, or still at it.
      expect(steps[1 - saved]?.log).toMatch(
        /shop is already there, kept as it is|not saved: .* another job is saving this key now/,
      );
      for (const step of steps) await step.post();

      const third = cleanup.use(await startJob({ env: service.env }));
      const hit = await third.step({ ...inputs, 'fail-on-miss': 'true' });
      expect(hit).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': 'true' } });
      expect(await who(hit.outputs['container'])).toBe(values[saved]);
      await hit.post();
    },
  );
});

test('eight starts with one key, and two of one name, all at once', async () => {
  const store = `file:${await scratch.folder('store')}`;
  const names = Array.from({ length: 8 }, newName);
  const [first = ''] = names;
  const seed = 'docker exec "$SNAPVOL_CONTAINER" redis-cli mset one 1 two 2';
  const args = ['--image', image, '--port', '0', '--key', 'k', '--seed', seed, '--store', store];
  const results = await Promise.all(
    [...names, first].map((name) => runCli(['start', name, ...args, '--json'])),
  );
  const failed = results.filter(({ exitCode }) => exitCode !== 0);
  const told = expect.stringMatching(
    /being started, cloned or stopped by another process|there is a database/,
  );
  expect(failed).toMatchObject([{ exitCode: exitCodes['name-taken'], stdout: told }]);

  const served = results.filter(({ exitCode }) => exitCode === 0);
  const ports = await Promise.all(
    served.map(async ({ stdout }) => {
      const { container, port } = JSON.parse(stdout) as { container: string; port: number };
      expect(await docker('exec', container, 'redis-cli', 'dbsize')).toBe('2');
      return port;
    }),
  );
  expect(new Set(ports).size).toBe(8);
  expect((await runCli(['verify', '--store', store])).exitCode).toBe(0);

  const stopped = await Promise.all(names.map((name) => runCli(['stop', name])));
  expect(stopped.map(({ exitCode }) => exitCode)).toEqual(names.map(() => 0));
  for (const name of names) {
    const left = await madeWith(`dev.snapvol.name=${name}`);
    expect(left).toEqual({ containers: [], volumes: [] });
  }
});
