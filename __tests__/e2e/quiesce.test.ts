import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import type { Consistency, DatabaseManifest } from '../../src/snapshot/manifest.ts';
import { runCli, useNames, type CliResult } from '../support/cli.ts';
import { containerLog, docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { checksum, query, seedScript, sqlScript } from '../support/postgres.ts';
import { nothing, startJob, type Inputs, storeOfJobs } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

// Copies of databases that are stopped, paused or left running: what is kept, what is recorded, what is refused.

const postgres = testImage('postgres:17');
const redis = testImage('redis:7');
const key = 'shop';

const scratch = useScratch();
const newName = useNames('quiesce');

async function consistencyIn(store: string): Promise<Consistency> {
  // A cast: the manifest's own code writes it.
  const manifest = JSON.parse(
    await readFile(join(store, key, 'manifest.json'), 'utf8'),
  ) as DatabaseManifest;
  return manifest.consistency;
}

describe('pause', () => {
  test('copies a server without stopping it; the restored one recovers, and holds the same', async () => {
    const store = await scratch.folder('store');
    const inputs: Inputs = {
      ...{ image: postgres, port: '0', key, store: `file:${store}` },
      ...{ quiesce: 'pause', seed: seedScript },
    };
    await using first = await startJob();
    const seeded = await first.step(inputs);
    expect(seeded).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    const { container = '' } = seeded.outputs;
    const state = '{{.State.Status}} {{.RestartCount}}';
    expect(await docker('inspect', '--format', state, container)).toBe('running 0');
    expect(await containerLog(container)).toMatch(/init process complete[^]*ready to accept/);
    expect(await consistencyIn(storeOfJobs(store))).toEqual({
      method: 'pause',
      exitCode: null,
      mark: 'pg_control: in production',
    });
    const original = await checksum(container);
    await seeded.post();

    await using second = await startJob();
    const restored = await second.step(inputs);
    expect(restored).toMatchObject({ exitCode: 0, outputs: { 'cache-hit': 'true' } });
    expect(await checksum(restored.outputs['container'] ?? '')).toBe(original);
    expect(await containerLog(restored.outputs['container'] ?? '')).toContain(
      'automatic recovery in progress',
    );
  });

  test.each([
    ['mariadb:10.11', 'mariadb', /Starting crash recovery/],
    ['mariadb:11.8', 'mariadb', /Starting crash recovery|Recovering after a crash/],
    ['mysql:9.7', 'mysql', /Starting XA crash recovery/],
  ])('%s: the restored server recovers', async (image, client, recovery) => {
    const store = await scratch.folder('store');
    const inside = ['--env', 'MYSQL_PWD=root'];
    const inputs: Inputs = {
      ...{ image: testImage(image), port: '0', key, quiesce: 'pause', store: `file:${store}` },
      seed: `docker exec --env MYSQL_PWD "$SNAPVOL_CONTAINER" ${client} -uroot test -e \\
        'create table item (id int primary key); do sleep(1.1); insert into item values (7)'`,
    };
    for (const hit of ['false', 'true']) {
      await using job = await startJob();
      const step = await job.step(inputs);
      expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
      const { container = '' } = step.outputs;
      const select = [client, '-uroot', '-BN', 'test', '-e', 'select id from item'];
      expect(await docker('exec', ...inside, container, ...select)).toBe('7');
      if (hit === 'true') expect(await containerLog(container)).toMatch(recovery);
    }
  });

  test('is refused for Postgres with an unlogged table: it would be empty', async () => {
    const store = await scratch.folder('store');
    await using job = await startJob();
    const unlogged =
      'create database other;\n\\c other\ncreate unlogged table item as select 7 as id;';
    const step = await job.step({
      ...{ image: postgres, port: '0', quiesce: 'pause', store: `file:${store}` },
      seed: sqlScript(unlogged),
    });
    expect(step).toMatchObject({
      exitCode: 1,
      errors: [expect.stringContaining('would find its unlogged tables empty')],
    });
    expect(await job.leftovers()).toEqual(nothing);
  });

  test('is refused for Redis that keeps its data in memory, with the reason, and leaves nothing', async () => {
    const store = await scratch.folder('store');
    await using job = await startJob();
    const step = await job.step({
      image: redis,
      port: '0',
      quiesce: 'pause',
      store: `file:${store}`,
    });
    expect(step).toMatchObject({
      exitCode: 1,
      errors: [
        'Redis without "--appendonly yes" keeps its data in memory: a paused copy would lose it. Set "quiesce" to stop',
      ],
    });
    expect(await readdir(store)).toEqual([]);
    expect(await job.leftovers()).toEqual(nothing);
  });

  test('keeps the keys of Redis with append-only files', async () => {
    const store = await scratch.folder('store');
    const inputs: Inputs = {
      ...{ image: redis, port: '0', key, quiesce: 'pause', store: `file:${store}` },
      args: '--appendonly yes',
      seed: 'docker exec "$SNAPVOL_CONTAINER" redis-cli set item 7',
    };
    for (const hit of ['false', 'true']) {
      await using job = await startJob();
      const step = await job.step(inputs);
      expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
      const { container = '' } = step.outputs;
      expect(await docker('exec', container, 'redis-cli', 'get', 'item')).toBe('7');
    }
    expect(await consistencyIn(storeOfJobs(store))).toMatchObject({
      method: 'pause',
      mark: 'append-only files',
    });
  });
});

describe('none', () => {
  test('copies between the hooks, which see the connection, and runs the second one whatever happened', async () => {
    const store = await scratch.folder('store');
    const inputs: Inputs = {
      ...{ image: redis, port: '0', key, quiesce: 'none', store: `file:${store}` },
      seed: 'docker exec "$SNAPVOL_CONTAINER" redis-cli set item 7',
      'before-copy': 'docker exec "$SNAPVOL_CONTAINER" redis-cli save',
      'after-copy': 'echo "copied from $SNAPVOL_HOST"',
    };
    for (const hit of ['false', 'true']) {
      await using job = await startJob();
      const step = await job.step(inputs);
      expect(step).toMatchObject({ exitCode: 0, warnings: [], outputs: { 'cache-hit': hit } });
      expect(step.log.includes('copied from 127.0.0.1')).toBe(hit === 'false');
      const { container = '' } = step.outputs;
      expect(await docker('exec', container, 'redis-cli', 'get', 'item')).toBe('7');
    }
    expect(await consistencyIn(storeOfJobs(store))).toEqual({
      method: 'none',
      exitCode: null,
      mark: 'dump.rdb',
    });

    await using failing = await startJob();
    const step = await failing.step({ ...inputs, key: 'other', 'before-copy': 'exit 3' });
    expect(step).toMatchObject({
      exitCode: 0,
      warnings: [expect.stringContaining('before-copy failed with exit code 3')],
    });
    expect(step.log).toContain('copied from 127.0.0.1');
    expect(await readdir(storeOfJobs(store))).toEqual([key]);
  });

  test('refuses files that hold nothing of what the server holds', async () => {
    const store = await scratch.folder('store');
    await using job = await startJob();
    const step = await job.step({
      ...{ image: redis, port: '0', quiesce: 'none', store: `file:${store}` },
      seed: `docker exec "$SNAPVOL_CONTAINER" redis-cli save
        docker exec "$SNAPVOL_CONTAINER" redis-cli set item 7`,
    });
    expect(step).toMatchObject({
      exitCode: 0,
      warnings: [expect.stringContaining('the server held 1 items and its files hold none')],
    });
    expect(await readdir(store)).toEqual([]);
  });
});

describe('a started database', () => {
  let store = '';
  const snapvol = (...args: string[]): Promise<CliResult> =>
    runCli(args, { env: { SNAPVOL_STORE: `file:${store}` } });
  const startPostgres = async (name: string, ...more: string[]): Promise<string> => {
    store = await scratch.folder('store');
    const seed = sqlScript('create table item as select 7 as id;');
    const result = await snapvol(
      ...['start', name, '--image', postgres, '--port', '0', '--seed', seed, '--save', 'false'],
      ...['--json', ...more],
    );
    expect(result).toMatchObject({ exitCode: 0 });
    return (JSON.parse(result.stdout) as { container: string }).container;
  };

  test('is saved while it is paused, and goes on', async () => {
    const name = newName();
    const container = await startPostgres(name);
    const saved = await snapvol('save', name, '--key', key, '--quiesce', 'pause');
    expect(saved).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('paused: ') });
    expect(await query(container, 'select id from item')).toBe('7');
    expect((await consistencyIn(store)).method).toBe('pause');
  });

  test.each(['stop', 'pause'])('that its user has paused stays so: %s', async (quiesce) => {
    const name = newName();
    const container = await startPostgres(name);
    await docker('pause', container);
    const saved = await snapvol('save', name, '--key', key, '--quiesce', quiesce);
    expect(saved).toMatchObject({ exitCode: 9, stderr: expect.stringContaining('docker unpause') });
    expect(await docker('inspect', '--format', '{{.State.Paused}}', container)).toBe('true');
  });

  test('that does not let us in any more is not stopped for a save', async () => {
    const name = newName();
    const container = await startPostgres(name);
    await query(container, "alter user postgres password 'another'");
    const saved = await snapvol('save', name, '--key', key, '--wait-timeout', '2');
    expect(saved).toMatchObject({
      exitCode: 9,
      stderr: expect.stringContaining('password authentication failed'),
    });
    expect(saved.stderr).not.toContain('stopped in');
    expect(await query(container, 'select id from item')).toBe('7');
  });

  test('in a network is reached by its name, by the hooks, too', async () => {
    const network = newName();
    await docker('network', 'create', network);
    try {
      const name = newName();
      const container = await startPostgres(name, '--network', network);
      const hooks = ['--quiesce', 'none', '--before-copy', 'echo "at $PGHOST:$PGPORT" >&2'];
      const saved = await snapvol('save', name, '--key', key, ...hooks);
      const host = (await docker('inspect', '--format', '{{.Name}}', container)).slice(1);
      expect(saved).toMatchObject({
        exitCode: 0,
        stderr: expect.stringContaining(`at ${host}:5432`),
      });
      await snapvol('stop', name);
    } finally {
      await docker('network', 'rm', network);
    }
  });

  test('goes on when the copy of the paused server is interrupted', async () => {
    const name = newName();
    const container = await startPostgres(name);
    const saved = await runCli(['save', name, '--key', key, '--quiesce', 'pause'], {
      env: { SNAPVOL_STORE: `file:${store}` },
      interrupt: { signal: 'SIGINT', when: /paused: / },
    });
    expect(saved.exitCode).toBe(130);
    expect(await query(container, 'select id from item')).toBe('7');
    expect(await readdir(store)).toEqual([]);
  });

  test('in a container of "docker run --rm" is refused for stop, with a hint, and goes on', async () => {
    const name = newName();
    const original = await startPostgres(name);
    const format = '{{json .Config.Labels}}';
    const labels = JSON.parse(await docker('inspect', '--format', format, original)) as object;
    const volume = await docker('inspect', '--format', '{{(index .Mounts 0).Name}}', original);
    const own = await docker('inspect', '--format', '{{.Name}}', original);
    await docker('rm', '--force', '--volumes', original);
    const container = await docker(
      ...['run', '--detach', '--rm', '--name', own.slice(1)],
      ...['--volume', `${volume}:/var/lib/postgresql/data`],
      ...Object.entries(labels).flatMap(([label, value]) => ['--label', `${label}=${value}`]),
      ...['--env', 'POSTGRES_PASSWORD=postgres', '--publish', '127.0.0.1::5432', postgres],
    );
    const saved = await snapvol('save', name, '--key', key);
    expect(saved).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(
        /was started with --rm: stopping it would remove it.*\n.*Start it without --rm, or set "quiesce" to pause/,
      ),
    });
    expect(await docker('inspect', '--format', '{{.State.Running}}', container)).toBe('true');
    const paused = await snapvol('save', name, '--key', key, '--quiesce', 'pause');
    expect(paused).toMatchObject({ exitCode: 0 });
    await docker('rm', '--force', '--volumes', container);
  });

  test('of Redis that has ended is not saved: nobody knows whether it wrote its keys', async () => {
    const name = newName();
    store = await scratch.folder('store');
    const seed = 'docker exec "$SNAPVOL_CONTAINER" redis-cli set item 7';
    const begin = ['start', name, '--image', redis, '--port', '0', '--seed', seed, '--json'];
    const started = await snapvol(...begin, '--save', 'false');
    const { container } = JSON.parse(started.stdout) as { container: string };
    await docker('stop', container);
    const saved = await snapvol('save', name, '--key', key);
    expect(saved).toMatchObject({
      exitCode: 12,
      stderr: expect.stringContaining('has ended already'),
    });
    expect(await readdir(store)).toEqual([]);
  });
});
