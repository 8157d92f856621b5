import { randomBytes } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { docker, madeWith, volumesOf } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { query, queryUrl, sqlScript } from '../support/postgres.ts';
import { nothing, startJob, type Inputs, type Job, type Step } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

const image = testImage('postgres:17');
const seed = sqlScript('create table item as select 1 as id;');

const scratch = useScratch();

/** A first job with these inputs, and a second one that must find what the first one has saved. */
async function inTwoJobs(
  inputs: Inputs,
  look: (step: Step, job: Job) => Promise<void>,
): Promise<void> {
  const store = `file:${await scratch.folder('store')}`;
  for (const hit of ['false', 'true']) {
    await using job = await startJob();
    const step = await job.step({ ...inputs, store });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(step.outputs['cache-hit']).toBe(hit);
    await look(step, job);
    await step.post();
    expect(await job.leftovers()).toEqual(nothing);
  }
}

test('holds extra volumes in the same snapshot, and limits the container', async () => {
  await inTwoJobs(
    {
      image,
      port: '0',
      options: '--memory 512m --shm-size=96m',
      'volumes-extra': 'files:/files\nempty:/empty',
      seed: 'docker exec "$SNAPVOL_CONTAINER" sh -c "echo a picture >/files/picture; chmod 2750 /files; chown 999:998 /files"',
    },
    async ({ outputs: { container = '' } }, job) => {
      const look = 'cat /files/picture; stat --format "%u:%g %a" /files; ls /empty';
      expect(await docker('exec', container, 'sh', '-c', look)).toBe('a picture\n999:998 2750');
      expect((await madeWith(job.label)).volumes).toHaveLength(3 * 3);
      const limits = '{{.HostConfig.Memory}} {{.HostConfig.ShmSize}}';
      const mib = 1024 ** 2;
      expect(await docker('inspect', '--format', limits, container)).toBe(
        `${512 * mib} ${96 * mib}`,
      );
    },
  );
});

test('takes any image with the engine generic, and stores without compression', async () => {
  await inTwoJobs(
    {
      image,
      engine: 'generic',
      name: 'any',
      port: '0',
      env: 'POSTGRES_PASSWORD=a secret',
      user: 'postgres',
      password: 'a secret',
      'data-path': '/var/lib/postgresql/data',
      'container-port': '5432',
      'ready-command': 'pg_isready --host 127.0.0.1',
      url: 'postgresql://{user}:{password}@{host}:{port}/postgres',
      compression: 'none',
      seed: 'docker exec --user postgres "$SNAPVOL_CONTAINER" psql --command "create table item as select 1 as id"',
    },
    async ({ outputs: { url = '' } }) => {
      expect(url).toMatch(/^postgresql:\/\/postgres:a%20secret@127\.0\.0\.1:\d+\/postgres$/);
      expect(await queryUrl(url, 'select * from item')).toBe('1');
    },
  );
});

// Postgres 17 writes into the volume that its image declares, below the second one.
test.each(['/srv', '/var/lib/postgresql'])(
  'says before the seed that %s is empty, and ends where it still is after it',
  async (dataPath) => {
    const store = await scratch.folder('store');
    await using job = await startJob();
    const step = await job.step({
      image,
      engine: 'generic',
      env: 'POSTGRES_PASSWORD=postgres',
      port: '0',
      'data-path': dataPath,
      'container-port': '5432',
      'ready-command': 'pg_isready --host 127.0.0.1',
      seed: 'echo "it is seeded"',
      // Nothing is saved, but a reset is to be possible: a server that starts on nothing makes a new database.
      ...(dataPath === '/srv' && { save: 'false' }),
      store: `file:${store}`,
    });
    const says = `the volume of the database (${dataPath}) is empty`;
    expect(step).toMatchObject({
      exitCode: 1,
      errors: [expect.stringContaining(says)],
      warnings: [expect.stringContaining(`the volume at ${dataPath} is still empty`)],
    });
    expect(step.log.match(/^it is seeded$/gm)).toHaveLength(1);
    expect(await readdir(store)).toEqual([]);
    expect(await job.leftovers()).toEqual(nothing);
  },
);

test('keeps the data where "data-path" says that the server has it', async () => {
  const mariadb = 'docker exec --env MYSQL_PWD "$SNAPVOL_CONTAINER" mariadb -uroot -BN test -e';
  await inTwoJobs(
    {
      ...{ image: testImage('mariadb:11.8'), port: '0' },
      ...{ args: '--datadir=/srv/data', 'data-path': '/srv/data' },
      seed: `${mariadb} 'create table item as select 7 as id'`,
      check: `test "$(${mariadb} 'select id from item')" = 7`,
    },
    async ({ outputs: { container = '' } }) => {
      const inspected = await docker('inspect', '--format', '{{json .Mounts}}', container);
      expect(inspected).toContain('"Destination":"/srv/data"');
    },
  );
});

test('keeps two databases of one job apart, and other things alone', async () => {
  const store = await scratch.folder('store');
  await using job = await startJob();
  const inputs: Inputs = { image, port: '0', seed, store: `file:${store}`, save: 'false' };
  const a = await job.step({ ...inputs, name: 'a' });
  const b = await job.step({ ...inputs, name: 'b' });
  for (const step of [a, b]) {
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(step.log).toContain('Not saved: save is false');
  }
  expect(a.outputs['port']).not.toBe(b.outputs['port']);
  expect(await readdir(store)).toEqual([]);

  // As if by somebody else: with our kind of label, but of another run.
  const foreign = `snapvol-foreign-${randomBytes(4).toString('hex')}`;
  await docker(
    'volume',
    'create',
    '--label',
    `dev.snapvol.run=${foreign}`,
    '--label',
    job.label,
    foreign,
  );
  await b.post();
  expect(await query(a.outputs['container'] ?? '', 'select * from item')).toBe('1');
  expect(await job.leftovers()).toEqual({
    containers: [expect.stringContaining('snapvol-a-')],
    volumes: [foreign, ...volumesOf(a.outputs['volume'])].sort(),
    files: [],
  });
  await a.post();
  expect(await job.leftovers()).toEqual({ ...nothing, volumes: [foreign] });
  const again = await a.post();
  expect(again).toMatchObject({ exitCode: 0, warnings: [] });
  expect(again.log).toContain('removed: nothing was left');
});

test('saves nothing on the pull request of a fork, but on one of its own', async () => {
  const store = await scratch.folder('store');
  const inputs: Inputs = {
    ...{ image, port: '0', seed: 'true', store: `file:${store}` },
    // With a key that is given, whatever the seed takes.
    ...{ key: 'pull-request', save: 'auto' },
  };
  const pullRequest = (source: string) => ({
    name: 'pull_request',
    payload: { pull_request: { head: { repo: { full_name: source } } } },
  });
  await using foreign = await startJob({ event: pullRequest('somebody/shop') });
  const step = await foreign.step(inputs);
  expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  expect(step.log).toContain('Not saved: the pull request comes from somebody/shop');
  expect(step.outputs['snapshot-digest']).toBe('');
  expect(await readdir(store)).toEqual([]);

  await using own = await startJob({ event: pullRequest('acme/shop') });
  const saved = await own.step(inputs);
  expect(saved.log).toContain(`saved ${step.outputs['cache-primary-key']}\n`);
});

test('joins a network, where its name is the host, and keeps a port that was asked for', async () => {
  const network = `snapvol-test-${randomBytes(4).toString('hex')}`;
  await docker('network', 'create', network);
  try {
    const store = `file:${await scratch.folder('store')}`;
    await using job = await startJob();
    const seedAndTell = `${seed}\ndocker port "$SNAPVOL_CONTAINER" 5432/tcp`;
    const step = await job.step({ image, network, port: '0', seed: seedAndTell, store });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    const { host, port, container = '', url = '' } = step.outputs;
    expect(`/${host}`).toBe(await docker('inspect', '--format', '{{.Name}}', container));
    expect(port).toBe('5432');
    expect(await queryUrl(url, 'select * from item', network)).toBe('1');
    const published = await docker('port', container, '5432/tcp');
    expect(step.log).toContain(`\n${published}\n`);
    const ownUrl = `postgresql://postgres:postgres@${published}/postgres`;
    expect(await queryUrl(ownUrl, 'select * from item')).toBe('1');
    await step.post();
    expect(await job.leftovers()).toEqual(nothing);
  } finally {
    await docker('network', 'rm', network);
  }
});

test('gives a database a second name, files and limits, and its clones the same files and limits', async () => {
  const network = `snapvol-test-${randomBytes(4).toString('hex')}`;
  await docker('network', 'create', network);
  try {
    await using job = await startJob();
    const inWorkspace = (path: string): string => join(job.workspaceDir, path);
    await mkdir(inWorkspace('certs/ca'), { recursive: true });
    await mkdir(inWorkspace('api'));
    await writeFile(inWorkspace('certs/ca/server.key'), 'a key', { mode: 0o600 });
    const data = '/var/lib/postgresql/data';
    const lines = [
      ...["listen_addresses = '*'", "work_mem = '7MB'", `data_directory = '${data}'`],
      ...[`hba_file = '${data}/pg_hba.conf'`, `ident_file = '${data}/pg_ident.conf'`],
    ];
    await writeFile(inWorkspace('fast.conf'), `${lines.join('\n')}\n`);
    const step = await job.step({
      ...{ image, network, 'network-alias': 'db', clones: '1', save: 'false' },
      ...{ seed: `${seed}\ntouch seeded`, check: 'pwd; ls seeded', 'working-directory': 'api' },
      store: `file:${await scratch.folder('store')}`,
      files: 'certs:/opt/certs:999\nfast.conf:/etc/snapvol/',
      args: '-c config_file=/etc/snapvol/fast.conf',
      options: '--ulimit nofile=2048:4096 --tmpfs /scratch:size=8m --cap-add SYS_NICE',
    });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    const { host, url = '', urls = '' } = step.outputs;
    expect(host).toBe('db');
    expect(step.log).toContain(`\n${inWorkspace('api')}\nseeded\n`);
    const [clone = ''] = JSON.parse(urls) as string[]; // as users read it
    expect(new URL(clone).hostname).not.toBe('db');
    const look = [
      ...['stat -c "%n %a %u:%g" /opt/certs/ca/server.key /etc/snapvol/fast.conf'],
      ...['cat /opt/certs/ca/server.key; echo; ulimit -Sn; ulimit -Hn; df /scratch | tail -1'],
    ].join('; ');
    const capAdd = '{{.HostConfig.CapAdd}}';
    for (const each of [url, clone]) {
      expect(await queryUrl(each, 'select count(*) from item; show work_mem', network)).toBe(
        '1\n7MB',
      );
    }
    const { containers } = await madeWith(job.label);
    expect(containers).toHaveLength(2);
    for (const container of containers) {
      expect(await docker('exec', container, 'bash', '-c', look)).toMatch(
        /^\S+ 600 999:999\n\S+ 644 0:0\na key\n2048\n4096\ntmpfs +8192 .*$/,
      );
      expect(await docker('inspect', '--format', capAdd, container)).toMatch(/SYS_NICE/);
    }
    await step.post();
    expect(await job.leftovers()).toEqual(nothing);
  } finally {
    await docker('network', 'rm', network);
  }
});
