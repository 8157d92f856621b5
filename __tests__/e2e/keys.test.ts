import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { testImage } from '../support/images.ts';
import { query, sqlScript } from '../support/postgres.ts';
import { nothing, startJob, type Inputs, type Step } from '../support/runner.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

let scratch: ScratchFolder;
/** Of a job that seeded with the inputs below. */
let storeDir: string;
let key: string;

const initSeconds = 6;
const inputs: Inputs = {
  image: testImage('postgres:17'),
  user: 'shop owner',
  password: 'p@ss/word %41',
  database: 'shop',
  init: 'db/init',
  'key-files': 'db/migrations/**\n!**/*.md',
  seed: sqlScript('insert into item select n from generate_series(1, 10) n;'),
  durability: 'full',
  port: '0',
};
const files: Readonly<Record<string, string>> = {
  'db/init/1-slow.sh': `echo init has begun; sleep ${initSeconds}; echo init has ended\n`,
  'db/init/2-schema.sql': 'create table item (id int primary key);\n',
  'db/migrations/1.sql': '-- none\n',
  'db/migrations/read.md': 'not part of the key\n',
};

/** A job with these files in its workspace. */
async function startShop(changed: Readonly<Record<string, string>> = {}) {
  const job = await startJob();
  for (const [path, text] of Object.entries({ ...files, ...changed })) {
    const file = join(job.workspaceDir, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, text);
  }
  return job;
}

let seeded: Step;
let itemsOfFirstJob: string;
let seedLeft: unknown;
beforeAll(async () => {
  scratch = await createScratch();
  storeDir = await scratch.folder('store');
  await using job = await startShop();
  seeded = await job.step({ ...inputs, store: `file:${storeDir}` });
  key = seeded.outputs['cache-primary-key'] ?? '';
  const user = inputs.user ?? '';
  itemsOfFirstJob = await query(
    seeded.outputs['container'] ?? '',
    "select count(*) || ' ' || current_setting('fsync') from item",
    { user, database: 'shop' },
  );
  await seeded.post();
  seedLeft = await job.leftovers();
});
afterAll(async () => {
  await scratch.remove();
});

test('waits for init files to end before it runs the seed, with durability left alone', () => {
  expect(seeded).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(itemsOfFirstJob).toBe('10 on');
  expect(seedLeft).toEqual(nothing);
});

test('covers the password and the URL in the log', () => {
  expect(seeded.masks).toContain(inputs.password);
  expect(seeded.masks).toContain(seeded.outputs['url']);
  expect(seeded.outputs['url']).toContain('shop%20owner:p%40ss%2Fword%20%2541@');
  expect(seeded.log).not.toContain(inputs.password);
});

describe('a change of', () => {
  test.each<{ what: string; inputs?: Inputs; files?: Record<string, string>; reason: RegExp }>([
    {
      what: 'the seed',
      inputs: { seed: 'true' },
      reason: /seed changed: sha256:\w{16} -> sha256:\w{16}\./,
    },
    {
      what: 'the contents of a key file',
      files: { 'db/migrations/1.sql': '-- some\n' },
      reason: /key-files changed: 1 file sha256:\w{16} -> 1 file sha256:\w{16}\./,
    },
    {
      what: 'the number of key files',
      files: { 'db/migrations/new/2.sql': '' },
      reason: /key-files changed: 1 file sha256:\w{16} -> 2 files sha256:\w{16}\./,
    },
    {
      what: 'an init file',
      files: { 'db/init/2-schema.sql': 'create table other ();\n' },
      reason: /init changed: 2 files .* -> 2 files /,
    },
    {
      what: 'the image',
      inputs: { image: testImage('postgres:15') },
      reason: /image changed: \S*postgres:17\S* -> \S*postgres:15\S*\./,
    },
    {
      what: 'the password',
      inputs: { password: 'another' },
      reason: /password changed: scrypt:\w+ -> scrypt:\w+\./,
    },
    { what: 'the user', inputs: { user: 'guest' }, reason: /user changed: shop owner -> guest/ },
    {
      what: 'the arguments',
      inputs: { args: '-c jit=off' },
      reason: /args changed: none -> \["-c","jit=off"\]/,
    },
    {
      what: 'the environment',
      inputs: { env: 'POSTGRES_INITDB_ARGS=--data-checksums' },
      reason: /env POSTGRES_INITDB_ARGS added: scrypt:/,
    },
    {
      what: 'the extra volumes',
      inputs: { 'volumes-extra': 'files:/files' },
      reason: /volume files added: \/files/,
    },
  ])('$what gives another key, and the miss names it', async (change) => {
    await using job = await startShop(change.files);
    const step = await job.step({
      ...inputs,
      ...change.inputs,
      store: `file:${storeDir}`,
      'fail-on-miss': 'true',
    });
    expect(step.exitCode).toBe(1);
    expect(step.errors).toEqual([expect.stringMatching(change.reason)]);
    expect(step.errors[0]).toContain(`nearest is ${key}: `);
    expect(step.log).toMatch(/^::group::Key snapvol-postgres-/m);
    expect(step.log).not.toContain(key + '\n');
    expect(await job.leftovers()).toEqual(nothing);
  });
});

test('what is no part of the key makes no difference: another workspace, port, durability', async () => {
  await using job = await startShop({ 'db/migrations/read.md': 'changed' });
  const step = await job.step({
    ...inputs,
    store: `file:${storeDir}`,
    durability: 'relaxed',
    'fail-on-miss': 'true',
  });
  expect(step).toMatchObject({ exitCode: 0, outputs: { 'cache-hit': 'true' } });
  const { container = '' } = step.outputs;
  const user = inputs.user ?? '';
  const facts = "select count(*) || ' ' || current_setting('fsync') from item";
  expect(await query(container, facts, { user, database: 'shop' })).toBe('10 off');
});

test('seeds on top of a base snapshot and saves the result under the new key', async () => {
  const store = await scratch.folder('with-base');
  await cp(storeDir, store, { recursive: true });
  const grown: Inputs = {
    ...inputs,
    store: `file:${store}`,
    'restore-keys': 'no-such-\nsnapvol-postgres-',
    seed: `echo "on top of $SNAPVOL_BASE_KEY"\n${sqlScript('insert into item values (11);')}`,
  };
  await using first = await startShop();
  const seededOnTop = await first.step(grown);
  expect(seededOnTop).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  const newKey = seededOnTop.outputs['cache-primary-key'];
  expect(newKey).not.toBe(key);
  expect(seededOnTop.outputs).toMatchObject({
    'cache-hit': 'false',
    'cache-matched-key': key,
    'miss-reason': `only a base snapshot: ${key}`,
  });
  expect(seededOnTop.log).toContain(`on top of ${key}\n`);
  expect(seededOnTop.log).not.toContain('init has begun');
  await seededOnTop.post();

  await using second = await startShop();
  const restored = await second.step({ ...grown, 'fail-on-miss': 'true' });
  expect(restored.outputs).toMatchObject({ 'cache-hit': 'true', 'cache-matched-key': newKey });
  const { container = '' } = restored.outputs;
  const login = { user: inputs.user ?? '', database: 'shop' };
  expect(await query(container, 'select count(*) from item', login)).toBe('11');
});
