import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { volumesOf } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import {
  checksum,
  isCleanStart,
  query,
  queryUrl,
  rowCount,
  seedScript,
} from '../support/postgres.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { action, nothing, startJob, type Inputs } from '../support/runner.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

let scratch: ScratchFolder;
beforeEach(async () => {
  scratch = await createScratch();
});
afterEach(async () => {
  await scratch.remove();
});

/** Job 1 seeds and saves, job 2 restores: they share nothing but the store. */
async function seedThenRestore(inputs: Inputs, env: Readonly<Record<string, string>> = {}) {
  await using first = await startJob({ env });
  const seeded = await first.step(inputs);
  expect(seeded).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  const { outputs } = seeded;
  expect(Object.keys(outputs).sort()).toEqual(Object.keys(action.outputs).sort());
  const key = outputs['cache-primary-key'] ?? '';
  expect(outputs).toMatchObject({
    'cache-hit': 'false',
    'cache-matched-key': '',
    'miss-reason': 'no snapshot for this key',
    host: '127.0.0.1',
    url: `postgresql://postgres:postgres@127.0.0.1:${outputs['port']}/postgres`,
    user: 'postgres',
    database: 'postgres',
    volume: expect.stringContaining('snapvol-postgres-'),
    'snapshot-digest': expect.stringMatching(/^[0-9a-f]{64}$/),
    'snapshot-size': expect.stringMatching(/^\d{6,}$/),
    'restore-seconds': '',
    'seed-seconds': expect.stringMatching(/^\d+(\.\d+)?$/),
  });
  expect(seeded.log).toContain(`saved ${key}`);
  expect(seeded.summary).toMatch(
    /<code>postgres<\/code>.*miss: <code>no snapshot for this key<.*saved/s,
  );
  // The snapshot was taken from a stopped database: the one that serves now is another container on the same port.
  expect(seeded.log).toContain(`seeding on port ${outputs['port']}\n`);
  const sum = await checksum(outputs['container'] ?? '');
  expect(await isCleanStart(outputs['container'] ?? '')).toBe(true);
  await query(outputs['container'] ?? '', "insert into item values (0, 'a test wrote this')");

  expect(await first.leftovers()).toEqual({
    containers: [expect.stringContaining('snapvol-postgres-')],
    volumes: volumesOf(outputs['volume']),
    files: [],
  });
  const post = await seeded.post();
  expect(post).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(post.log).toContain(`removed: `);
  for (const volume of volumesOf(outputs['volume'])) expect(post.log).toContain(volume);
  expect(await first.leftovers()).toEqual(nothing);

  await using second = await startJob({ env });
  const restored = await second.step({ ...inputs, 'fail-on-miss': 'true' });
  expect(restored).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(restored.outputs).toMatchObject({
    'cache-hit': 'true',
    'cache-primary-key': key,
    'cache-matched-key': key,
    'miss-reason': '',
    'snapshot-digest': outputs['snapshot-digest'],
    'snapshot-size': outputs['snapshot-size'],
    'restore-seconds': expect.stringMatching(/^\d+(\.\d+)?$/),
    'seed-seconds': '',
  });
  expect(restored.log).not.toContain('seeding');
  expect(restored.summary).toMatch(/<code>postgres<\/code>.*<td>hit</s);
  const { container = '', url = '' } = restored.outputs;
  expect(await checksum(container)).toBe(sum);
  expect(await isCleanStart(container)).toBe(true);
  expect(await queryUrl(url, 'select count(*), min(id) from item')).toBe(`${rowCount}|1`);
  expect(await query(container, 'show fsync')).toBe('off');
  await restored.post();
  expect(await second.leftovers()).toEqual(nothing);
}

const majors = ['15', '17', '18'];
const cells = majors.flatMap((major) => ['pipe', 'archive'].map((copy) => ({ major, copy })));

test.each(cells)(
  'seeds Postgres $major in one job and restores it in another, copying by $copy',
  async ({ major, copy }) => {
    const store = `file:${await scratch.folder('store')}`;
    await seedThenRestore({
      image: testImage(`postgres:${major}`),
      seed: seedScript,
      port: '0',
      store,
      copy,
    });
  },
);

describe("with GitHub's services", () => {
  let service: ResultsService;
  beforeAll(async () => {
    service = await startResultsService({ azureDownloads: true });
  });
  afterAll(async () => {
    await service.close();
  });

  test.each(['actions-cache', 'artifact'])(
    'carries a snapshot from job to job with the store %s',
    async (store) => {
      const image = testImage('postgres:17');
      await seedThenRestore({ image, seed: seedScript, port: '0', store }, service.env);
    },
  );
});
