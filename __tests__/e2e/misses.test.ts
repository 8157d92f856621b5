import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { flipBit, truncateFile } from '../support/damage.ts';
import { containerLog, purposesSince, volumesOf } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { query, sqlScript } from '../support/postgres.ts';
import { nothing, startJob, type Inputs, storeOfJobs } from '../support/runner.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

/** What a snapshot holds tells who made it. */
const seedAs = (maker: string): string =>
  sqlScript(`create table maker as select '${maker}' as name;`);
const makerOf = (container = ''): Promise<string> => query(container, 'select name from maker');

const key = 'shop';
const inputs: Inputs = {
  image: testImage('postgres:18'),
  key,
  seed: seedAs('the first job'),
  port: '0',
};

let scratch: ScratchFolder;
/** Holds one snapshot, of major 18, under the key. */
let original: string;
let originalDigest: string;
beforeAll(async () => {
  scratch = await createScratch();
  original = await scratch.folder('store');
  await using job = await startJob();
  const step = await job.step({ ...inputs, store: `file:${original}` });
  expect(step).toMatchObject({ exitCode: 0, warnings: [] });
  originalDigest = step.outputs['snapshot-digest'] ?? '';
  await step.post();
});
afterAll(async () => {
  await scratch.remove();
});

async function copyOfStore(): Promise<string> {
  const copy = await scratch.folder('copy');
  await cp(original, copy, { recursive: true });
  return copy;
}

test('does not extract a snapshot of another major version, and seeds instead', async () => {
  await using job = await startJob();
  const step = await job.step({
    ...inputs,
    image: testImage('postgres:17'),
    store: `file:${await copyOfStore()}`,
    seed: seedAs('the second job'),
    save: 'false',
    reset: 'off', // nothing is copied for it
  });
  expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(step.outputs).toMatchObject({
    'cache-hit': 'false',
    'cache-matched-key': '',
    'miss-reason': 'the snapshot shop does not fit: data version changed: 18 -> 17',
    'snapshot-digest': '',
  });
  expect(await makerOf(step.outputs['container'])).toBe('the second job');
  expect(await purposesSince(job.startMs, job.label)).toEqual(['database']);
});

test('does not trust indexes that were sorted by another library, and says so', async () => {
  const store = `file:${await scratch.folder('store')}`;
  await using first = await startJob();
  const noted = "update pg_database set datcollversion = '1.0' where datname = 'postgres';";
  const seed = `${seedAs('the first job')}\n${sqlScript(noted)}`;
  const saved = await first.step({ ...inputs, store, seed });
  expect(saved).toMatchObject({ exitCode: 0, warnings: [] });
  await saved.post();

  await using second = await startJob();
  const step = await second.step({ ...inputs, store, seed: seedAs('the second job') });
  expect(step).toMatchObject({ exitCode: 0, errors: [] });
  const reason =
    'the library of the image that sorts text has changed, and indexes may be wrong: database postgres 1.0 -> ';
  expect(step.warnings).toEqual([
    expect.stringContaining(reason),
    expect.stringContaining('the snapshot shop cannot be used and stays in the store'),
  ]);
  expect(step.outputs).toMatchObject({
    'cache-hit': 'false',
    'miss-reason': expect.stringContaining(`the snapshot cannot be used: ${reason}`),
  });
  expect(await makerOf(step.outputs['container'])).toBe('the second job');
});

describe('a snapshot that is damaged in the store', () => {
  test.each([
    {
      what: 'one wrong bit in the archive',
      damage: (dir: string) => flipBit(join(dir, 'data.tar.zst'), 0.5),
      reason:
        /^the snapshot cannot be used: data\.tar\.zst: the archive is damaged: sha256: \w+, its manifest says/,
    },
    {
      what: 'one wrong bit in the manifest',
      damage: (dir: string) => flipBit(join(dir, 'manifest.json'), 0.5),
      reason: /^manifest\.json is damaged: its sha256 is not the one in SHA256SUMS$/,
    },
    {
      what: 'an archive that is too short',
      damage: (dir: string) => truncateFile(join(dir, 'data.tar.zst'), 100_000),
      reason: /^data\.tar\.zst has 100000 bytes, the manifest says \d+$/,
    },
    {
      what: 'no SHA256SUMS',
      damage: (dir: string) => rm(join(dir, 'SHA256SUMS')),
      reason: /^the bundle has no SHA256SUMS$/,
    },
  ])('is a warning and a miss: $what', async ({ damage, reason }) => {
    const store = await copyOfStore();
    await damage(join(storeOfJobs(store), key));
    await using job = await startJob();
    const step = await job.step({
      ...inputs,
      store: `file:${store}`,
      seed: seedAs('the second job'),
      save: 'false',
    });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [expect.anything()] });
    expect(step.outputs).toMatchObject({
      'cache-hit': 'false',
      'cache-matched-key': '',
      'miss-reason': expect.stringMatching(reason),
      'restore-seconds': '',
    });
    expect(await makerOf(step.outputs['container'])).toBe('the second job');
    expect(await job.leftovers()).toMatchObject({
      volumes: volumesOf(step.outputs['volume']),
      files: [],
    });
  });
});

test('a restored database that fails the check is a miss, and is seeded anew', async () => {
  await using job = await startJob();
  const step = await job.step({
    ...inputs,
    store: `file:${await copyOfStore()}`,
    seed: seedAs('the second job'),
    check: `test "$(${sqlScript('select name from maker;')}\n)" = 'the second job'`,
    save: 'false',
  });
  expect(step).toMatchObject({
    exitCode: 0,
    errors: [],
    warnings: [
      "the snapshot shop cannot be used: check failed with exit code 1. Look at the script's own output, and at the last log lines of the database, printed with this error",
    ],
  });
  expect(step.outputs).toMatchObject({
    'cache-hit': 'false',
    'miss-reason': 'the snapshot cannot be used: check failed with exit code 1',
  });
  expect(await makerOf(step.outputs['container'])).toBe('the second job');
  const [container] = (await job.leftovers()).containers;
  expect(await job.leftovers()).toEqual({
    containers: [container],
    volumes: volumesOf(step.outputs['volume']),
    files: [],
  });
});

test('a damaged base snapshot is left aside: the seed starts from nothing', async () => {
  const store = await copyOfStore();
  await flipBit(join(storeOfJobs(store), key, 'data.tar.zst'), 0.5);
  await using job = await startJob();
  const step = await job.step({
    ...inputs,
    store: `file:${store}`,
    key: 'shop-2',
    'restore-keys': 'sh',
    seed: `test -z "\${SNAPVOL_BASE_KEY-}"\n${seedAs('the second job')}`,
    save: 'false',
  });
  expect(step).toMatchObject({
    exitCode: 0,
    errors: [],
    warnings: [expect.stringMatching(/^the base snapshot shop cannot be used: /)],
  });
  expect(step.outputs).toMatchObject({
    'cache-hit': 'false',
    'cache-matched-key': '',
    'miss-reason': 'only a base snapshot: shop',
    'restore-seconds': '',
  });
  expect(await makerOf(step.outputs['container'])).toBe('the second job');
});

test('uses only the snapshot of the expected digest, and from where the user wants it', async () => {
  await using job = await startJob();
  const wanted = {
    ...{ ...inputs, store: `file:${original}`, 'fail-on-miss': 'true' },
    'expect-digest': originalDigest,
    'require-provenance': 'repository=acme/shop\nref=refs/heads/dev\nref=refs/heads/ma*',
  };
  const refused = await job.step({ ...wanted, 'expect-digest': '0'.repeat(64) });
  expect(refused.exitCode).toBe(1);
  expect(refused.errors.join()).toContain(`is refused: its digest is ${originalDigest}`);
  const foreign = await job.subStep('restore', {
    ...{ key, store: `file:${original}`, volume: `never-made-${process.pid}` },
    'require-provenance': 'repository=mallory/*',
  });
  expect(foreign.exitCode).toBe(1);
  expect(foreign.errors).toEqual([
    'the snapshot shop is refused: its repository is acme/shop, and "require-provenance" asks for mallory/*',
  ]);
  expect(await job.leftovers()).toEqual(nothing);
  const hit = await job.step(wanted);
  expect(hit).toMatchObject({ exitCode: 0, errors: [], outputs: { 'cache-hit': 'true' } });
  await hit.post();
});

test('does not trust a database that had to be killed: nothing is saved, it is seeded once more', async () => {
  const store = await scratch.folder('store');
  await using job = await startJob();
  const step = await job.step({
    ...inputs,
    store: `file:${store}`,
    // A server waits for its checkpointer before it ends: one that is held up stands for a slow last checkpoint.
    seed: `${seedAs('the first job')}
      if test -e held-up; then exit; fi
      touch held-up
      pid=$(${sqlScript("select pid from pg_stat_activity where backend_type = 'checkpointer';")}
      )
      docker exec --user root "$SNAPVOL_CONTAINER" sh -c "kill -STOP $pid"`,
    'stop-timeout': '1',
  });
  expect(step).toMatchObject({
    exitCode: 0,
    errors: [],
    warnings: [
      expect.stringMatching(
        /^the snapshot was not saved: the container snapvol-\S+ ended with exit code 137 \(killed: it did not stop within 1 s\), its data cannot be trusted\. Raise "stop-timeout"$/,
      ),
    ],
  });
  expect(step.outputs).toMatchObject({ 'cache-hit': 'false', 'snapshot-digest': '' });
  expect(step.log).toContain('Seeding once more');
  expect(await readdir(store)).toEqual([]);
  const { container = '' } = step.outputs;
  expect(await containerLog(container)).toContain('init process complete');
  expect(await makerOf(container)).toBe('the first job');
  await step.post();
  expect(await job.leftovers()).toEqual(nothing);
});
