import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { nothing, startJob, type Inputs, type Job, type Step } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

// What was seen to go wrong with databases in containers, each time as a user would meet it.

const scratch = useScratch();

/** The database serves all the same, and the one warning says why there is no snapshot. */
async function expectNotSaved({
  inputs,
  reason,
}: {
  readonly inputs: Inputs;
  readonly reason: RegExp;
}): Promise<void> {
  const store = await scratch.folder('store');
  await using job = await startJob();
  const step = await job.step({ ...inputs, port: '0', store: `file:${store}` });
  expect(step).toMatchObject({ exitCode: 0, errors: [] });
  expect(step.warnings).toEqual([expect.stringMatching(reason)]);
  expect(await readdir(store)).toEqual([]);
  await step.post();
  expect(await job.leftovers()).toEqual(nothing);
}

const password = `it's a "secret"`;
const client = 'docker exec --env MYSQL_PWD "$SNAPVOL_CONTAINER"';

describe('an init script of six seconds does not make a half-made database ready', () => {
  const rows = {
    postgres: `docker exec --env PGDATABASE --env PGUSER "$SNAPVOL_CONTAINER" psql -qtAc 'select * from late'`,
    mariadb: `${client} mariadb -uroot -BN "$SNAPVOL_DATABASE" -e 'select * from late'`,
    mysql: `${client} mysql -uroot -BN "$SNAPVOL_DATABASE" -e 'select * from late'`,
    clickhouse: `docker exec "$SNAPVOL_CONTAINER" clickhouse-client --user "$SNAPVOL_USER" \\
      --password "$SNAPVOL_PASSWORD" --database "$SNAPVOL_DATABASE" --query 'select * from late'`,
  };
  test.concurrent.each<[keyof typeof rows, string, Inputs]>([
    ['postgres', 'postgres:17', {}],
    ['mariadb', 'mariadb:11.8', {}],
    ['mysql', 'mysql:9.7', {}],
    ['clickhouse', 'clickhouse', { engine: 'clickhouse', user: 'app' }],
  ])('%s', async (engine, image, inputs) => {
    await using job = await startJob();
    await writeFile(join(job.workspaceDir, '1-slow.sh'), '#!/bin/sh\nsleep 6\n');
    const engineOf = engine === 'clickhouse' ? 'engine = TinyLog' : '';
    await writeFile(
      join(job.workspaceDir, '2-late.sql'),
      `create table shop.late (id int) ${engineOf};\ninsert into shop.late values (42);\n`
        // The database of Postgres is the one that the file is run in; its "shop." would be a schema.
        .replaceAll('shop.', engine === 'postgres' ? '' : 'shop.'),
    );
    const step = await job.step({
      ...{ image: testImage(image), port: '0', database: 'shop', password, save: 'false' },
      ...inputs,
      init: '*-*',
      // The first thing that is asked of a database that is said to be ready.
      seed: `test "$(${rows[engine]})" = 42`,
      store: `file:${await scratch.folder('store')}`,
    });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    await step.post();
    expect(await job.leftovers()).toEqual(nothing);
  });
});

describe('Redis', () => {
  const image = testImage('redis:7');
  const cli = 'docker exec "$SNAPVOL_CONTAINER" redis-cli';
  const seed = `${cli} mset one 1 two 2 three 3`;
  const keys = ({ outputs }: Step): Promise<string> =>
    docker('exec', outputs['container'] ?? '', 'redis-cli', 'dbsize');

  test('that is told to save nothing is saved with all its keys', async () => {
    const store = await scratch.folder('store');
    for (const hit of ['false', 'true']) {
      await using job = await startJob();
      const args = '--save "" --appendonly no';
      const step = await job.step({ image, port: '0', seed, args, store: `file:${store}` });
      expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
      expect(await keys(step)).toBe('3');
    }
  });

  test('that cannot write its dump is not saved, whatever an older dump holds', async () => {
    const store = await scratch.folder('store');
    await using job = await startJob();
    const step = await job.step({
      ...{ image, port: '0', store: `file:${store}` },
      seed: `${seed}; ${cli} save; ${cli} set four 4
        docker exec "$SNAPVOL_CONTAINER" chmod 0555 /data`,
    });
    expect(step).toMatchObject({
      exitCode: 0,
      warnings: [expect.stringMatching(/it did not shut down: ERR/)],
    });
    expect(await readdir(store)).toEqual([]);
  });

  test('with append-only files does not start empty beside a full dump: that is a miss', async () => {
    const store = `file:${await scratch.folder('store')}`;
    const inputs: Inputs = { image, port: '0', key: 'shop', seed, store };
    await using first = await startJob();
    expect(await first.step(inputs)).toMatchObject({ exitCode: 0, warnings: [] });
    await using second = await startJob();
    const step = await second.step({ ...inputs, args: '--appendonly yes', save: 'false' });
    expect(step.outputs).toMatchObject({
      'cache-hit': 'false',
      'miss-reason':
        'the snapshot cannot be used: the server holds 0 items after its start, and 3 were saved',
    });
    expect(await keys(step)).toBe('3');
  });
});

describe('what the next server would not find is not saved', () => {
  const redis = testImage('redis:7');
  const cli = 'docker exec "$SNAPVOL_CONTAINER" redis-cli';
  const mariadb = `${client} mariadb -uroot test -e`;
  test.each<{ what: string; inputs: Inputs; reason: RegExp }>([
    {
      what: 'append-only files that the seed has switched off',
      inputs: {
        image: redis,
        args: '--appendonly yes',
        seed: `${cli} set one 1; ${cli} config set appendonly no; ${cli} mset two 2 three 3`,
      },
      reason: /the server holds 1 items after its start, and 3 were saved/,
    },
    {
      what: 'a server that the seed has restarted',
      inputs: {
        image: redis,
        seed: `${cli} mset one 1 two 2; docker restart "$SNAPVOL_CONTAINER"`,
      },
      reason: /was restarted after the database was ready/,
    },
    {
      what: 'a table on another disk',
      inputs: {
        image: testImage('mariadb:11.8'),
        seed: `docker exec "$SNAPVOL_CONTAINER" sh -c 'mkdir -p /srv/far && chown mysql /srv/far'
          ${mariadb} "create table far (id int) data directory = '/srv/far'"`,
      },
      reason: /\/srv\/far\/test\/far\.ibd is in none of the volumes/,
    },
  ])('$what', expectNotSaved);

  test('keys that expire between two runs are none that are missing', async () => {
    const store = `file:${await scratch.folder('store')}`;
    const seed = `${cli} set stays 1; ${cli} set goes 1 px 100`;
    for (const hit of ['false', 'true']) {
      await using job = await startJob();
      const step = await job.step({ image: redis, port: '0', seed, store });
      expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
    }
  });
});

describe('a data folder', () => {
  const seedRows = (program: string): string =>
    `${client} ${program} -uroot "$SNAPVOL_DATABASE" -e 'create table item (id int primary key); insert into item values (7)'`;
  const row = ({ outputs }: Step, program: string): Promise<string> =>
    docker(
      ...['exec', '--env', 'MYSQL_PWD=root', outputs['container'] ?? ''],
      ...[program, '-uroot', '-BN', 'test', '-e', 'select id from item'],
    );

  test('of an older MariaDB is upgraded by the newer server, and not the other way round', async () => {
    const store = `file:${await scratch.folder('store')}`;
    const older = testImage('mariadb:10.11');
    const newer = testImage('mariadb:11.8');
    const inputs: Inputs = {
      image: older,
      port: '0',
      key: 'old',
      seed: seedRows('mariadb'),
      store,
    };
    await using first = await startJob();
    expect(await first.step(inputs)).toMatchObject({ exitCode: 0, warnings: [] });

    await using second = await startJob();
    const upgraded = await second.step({ ...inputs, image: newer });
    expect(upgraded).toMatchObject({ exitCode: 0, outputs: { 'cache-hit': 'true' } });
    expect(upgraded.log).toMatch(
      /the server will upgrade the data: data version 10\.11\.\d+, server version 11\.8\.\d+/,
    );
    expect(await row(upgraded, 'mariadb')).toBe('7');

    await using third = await startJob();
    const made = await third.step({ ...inputs, image: newer, key: 'new' });
    expect(made).toMatchObject({ exitCode: 0, warnings: [] });
    await using fourth = await startJob();
    const refused = await fourth.step({ ...inputs, key: 'new', 'fail-on-miss': 'true' });
    expect(refused.errors).toEqual([
      expect.stringMatching(/the data is of version 11\.8\.\d+, which 10\.11\.\d+ cannot read/),
    ]);
    expect(await fourth.leftovers()).toEqual(nothing);
  });

  test('of MySQL is not given to MariaDB', async () => {
    const store = `file:${await scratch.folder('store')}`;
    const inputs: Inputs = { port: '0', key: 'shop', store };
    await using first = await startJob();
    const mysql = { ...inputs, image: testImage('mysql:9.7'), seed: seedRows('mysql') };
    expect(await first.step(mysql)).toMatchObject({ exitCode: 0, warnings: [] });
    await using second = await startJob();
    const mariadb = { ...inputs, image: testImage('mariadb:11.8'), 'fail-on-miss': 'true' };
    expect((await second.step(mariadb)).errors).toEqual([
      expect.stringMatching(/does not fit: engine changed: mysql -> mariadb/),
    ]);
    expect(await second.leftovers()).toEqual(nothing);
  });
});

describe('a volume that does not hold the data is refused', () => {
  const tablespace = '/var/lib/space';
  test('a tablespace elsewhere', () =>
    expectNotSaved({
      inputs: {
        image: testImage('postgres:18'),
        seed: `docker exec "$SNAPVOL_CONTAINER" sh -c 'mkdir ${tablespace} && chown postgres ${tablespace}'
          docker exec --env PGUSER "$SNAPVOL_CONTAINER" psql -c "create tablespace space location '${tablespace}'"`,
      },
      reason: /\/var\/lib\/space is in none of the volumes/,
    }));

  test('a tablespace in a volume of the same snapshot is kept', async () => {
    const store = `file:${await scratch.folder('store')}`;
    const inputs: Inputs = {
      ...{ image: testImage('postgres:18'), port: '0', store },
      'volumes-extra': `space:${tablespace}`,
      seed: `docker exec "$SNAPVOL_CONTAINER" chown postgres ${tablespace}
        docker exec --interactive --env PGUSER "$SNAPVOL_CONTAINER" psql <<'SQL'
create tablespace space location '${tablespace}';
create table item (id int) tablespace space;
insert into item values (7);
SQL`,
    };
    for (const hit of ['false', 'true']) {
      await using job = await startJob();
      const step = await job.step(inputs);
      expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
      const { container = '' } = step.outputs;
      const row = ['psql', '-U', 'postgres', '-qtAc', 'select * from item'];
      expect(await docker('exec', container, ...row)).toBe('7');
    }
  });
});

test('two databases of one job start, restore and go independently of each other', async () => {
  const store = `file:${await scratch.folder('store')}`;
  const orders: Inputs = {
    ...{ name: 'orders', image: testImage('postgres:17'), port: '0', store },
    seed: `docker exec --env PGUSER "$SNAPVOL_CONTAINER" psql -c 'create table item as select 1 as id'`,
  };
  const cache: Inputs = {
    ...{ name: 'cache', image: testImage('redis:7'), port: '0', store },
    seed: 'docker exec "$SNAPVOL_CONTAINER" redis-cli set item 1',
  };
  const sessions: Inputs = { ...cache, name: 'sessions' };
  const get = (step: Step): Promise<string> =>
    docker('exec', step.outputs['container'] ?? '', 'redis-cli', 'get', 'item');
  for (const hit of ['false', 'true']) {
    await using job: Job = await startJob();
    const steps: Step[] = [];
    for (const inputs of [orders, cache, sessions]) steps.push(await job.step(inputs));
    const [first, second, third] = steps as [Step, Step, Step];
    // The cache and the sessions are the same data, and so share one snapshot.
    expect(steps.map((step) => step.outputs['cache-hit'])).toEqual([hit, hit, 'true']);
    const containers = (await job.leftovers()).containers.map((name) => name.split('-')[1]);
    expect(containers.sort()).toEqual(['cache', 'orders', 'sessions']);
    await docker('exec', second.outputs['container'] ?? '', 'redis-cli', 'set', 'item', 'other');
    expect(await get(third)).toBe('1');
    await first.post();
    expect(await get(second)).toBe('other');
    await second.post();
    expect(await get(third)).toBe('1');
    await third.post();
    expect(await job.leftovers()).toEqual(nothing);
  }
});
