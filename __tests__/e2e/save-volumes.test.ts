import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { decodeManifest } from '../../src/snapshot/manifest-json.ts';
import type { VolumesManifest } from '../../src/snapshot/manifest.ts';
import { runCli } from '../support/cli.ts';
import { containerLog, docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { query } from '../support/postgres.ts';
import { countedRows, redisCli, runningOf, startStack, untilServes } from '../support/stack.ts';
import { useScratch } from '../support/store-bundles.ts';

// Volumes of containers that snapvol has not started: saved under load, restored under other names.

const scratch = useScratch();
const postgres = testImage('postgres:17');
const redis = testImage('redis:7');

async function readVolumesManifest(store: string, key: string): Promise<VolumesManifest> {
  const manifest = decodeManifest(await readFile(join(store, key, 'manifest.json'), 'utf8'));
  if (manifest.kind !== 'volumes') throw new Error('it is one of a database');
  return manifest;
}

describe('a stack of three containers', () => {
  test('is saved under load as one moment, and restored under other names with the same data', async () => {
    await using stack = await startStack();
    const { project, database, cache, client, volumes } = stack;
    await docker(
      'exec',
      '--detach',
      '--env',
      'REDISCLI_AUTH=pass word',
      cache,
      'sh',
      '-c',
      'while redis-cli incr n; do :; done',
    );
    await docker(
      'exec',
      client,
      'sh',
      '-c',
      'until test "$(wc -l </cache/rows)" -gt 20; do sleep 0.1; done',
    );
    const portBefore = await docker('port', database, '5432/tcp');
    const store = await scratch.folder('store');

    const saved = await runCli([
      ...[
        'save',
        '--compose-project',
        project,
        '--key',
        'k1',
        '--store',
        `file:${store}`,
        '--json',
      ],
    ]);
    expect(saved).toMatchObject({ exitCode: 0 });
    // Dependants first, and the other way back.
    const order = [...saved.stderr.matchAll(/(stopping) (\S+)|(\S+) runs again/g)].map(
      (match) => match[2] ?? match[3],
    );
    expect(order[0]).toBe(client);
    expect(order.slice(3)).toEqual(order.slice(0, 3).reverse());
    expect(await runningOf(stack.containers)).toHaveLength(3);
    const portAfter = await docker('port', database, '5432/tcp');
    const changed =
      portBefore === portAfter
        ? []
        : [{ container: database, port: '5432/tcp', before: portBefore, after: portAfter }];
    expect(JSON.parse(saved.stdout)).toMatchObject({
      key: 'k1',
      name: project,
      changedPorts: changed,
    });
    expect(await docker('inspect', '--format', '{{.HostConfig.RestartPolicy.Name}}', cache)).toBe(
      'unless-stopped',
    );

    const manifest = await readVolumesManifest(store, 'k1');
    expect(manifest.volumes.map(({ name, mountPath }) => [name, mountPath]).sort()).toEqual([
      [volumes.cache, '/data'],
      [volumes.database, '/var/lib/postgresql/data'],
    ]);
    // The client writes to both.
    expect(manifest.volumes.map(({ leftOut }) => leftOut)).toEqual([[], []]);
    const writers = manifest.writers.map(({ container, engine, consistency }) => [
      container,
      engine,
      consistency.mark,
    ]);
    expect(writers.sort()).toEqual([
      [cache, 'redis', 'dump.rdb'],
      [client, 'generic', 'exit code only'],
      [database, 'postgres', 'pg_control: shut down'],
    ]);
    expect(JSON.stringify(manifest)).not.toContain('pass word');

    const other = `${project}x`;
    const restored = await runCli([
      ...['restore', 'k1', '--store', `file:${store}`],
      ...[
        '--rename',
        `${volumes.database}=${other}_pg`,
        '--rename',
        `${volumes.cache}=${other}_cache`,
      ],
    ]);
    expect(restored).toMatchObject({ exitCode: 0 });
    try {
      const labels = await docker(
        'volume',
        'inspect',
        '--format',
        '{{json .Labels}}',
        `${other}_pg`,
      );
      expect(JSON.parse(labels)).toMatchObject({
        'com.docker.compose.project': other,
        'com.docker.compose.volume': 'pg',
      });
      await docker(
        'run',
        '--detach',
        '--name',
        `${other}-db`,
        '--volume',
        `${other}_pg:/var/lib/postgresql/data`,
        postgres,
      );
      await docker(
        'run',
        '--detach',
        '--name',
        `${other}-cache`,
        '--volume',
        `${other}_cache:/data`,
        redis,
        'redis-server',
        '--requirepass',
        'pass word',
      );
      await untilServes(`${other}-db`);
      expect(await containerLog(`${other}-db`)).not.toMatch(/not properly shut down|recovery/);
      const rows = Number(await query(`${other}-db`, 'select count(*) from item'));
      const sum = "select md5(string_agg(id || name, ',' order by id)) from item";
      expect(await query(`${other}-db`, sum)).toBe(
        await query(database, sum.replace('from item', `from item where id <= ${rows}`)),
      );
      // Both volumes are of one moment: of each committed row, the file knows; but for the last one, perhaps.
      const counted = Number(
        await docker(
          'run',
          '--rm',
          '--volume',
          `${other}_cache:/cache:ro`,
          '--entrypoint',
          'sh',
          postgres,
          '-c',
          'wc -l </cache/rows',
        ),
      );
      expect([rows, rows - 1]).toContain(counted);
      expect(await redisCli(`${other}-cache`, 'get', 'n')).toBe(await redisCli(cache, 'get', 'n'));
      expect(Number(await countedRows(client))).toBeGreaterThan(counted);
    } finally {
      await docker('rm', '--force', '--volumes', `${other}-db`, `${other}-cache`);
      await docker('volume', 'rm', `${other}_pg`, `${other}_cache`);
    }
  });

  test('goes on when the copy fails, and when what is asked for cannot be', async () => {
    await using stack = await startStack();
    const { project, database, cache, client } = stack;
    const store = await scratch.folder('store');
    const save = (...args: string[]) => runCli(['save', '--store', `file:${store}`, ...args]);

    const hook = await save(
      '--compose-project',
      project,
      '--key',
      'a',
      '--quiesce',
      'none',
      '--before-copy',
      'exit 3',
    );
    expect(hook).toMatchObject({
      exitCode: 18,
      stderr: expect.stringContaining('before-copy failed'),
    });

    const interrupted = await runCli(
      ['save', '--compose-project', project, '--key', 'b', '--store', `file:${store}`],
      { interrupt: { signal: 'SIGINT', when: /stopping .*-cache-1/ } },
    );
    expect(interrupted.exitCode).toBe(130);
    expect(await runningOf(stack.containers)).toHaveLength(3);

    // Somebody who does not listen to SIGTERM is killed: what it had open is not to be trusted.
    await docker('rm', '--force', '--volumes', client);
    const stubborn = [
      '--name',
      client,
      '--volume',
      `${stack.volumes.cache}:/cache`,
      '--entrypoint',
      'sleep',
    ];
    await docker('run', '--detach', ...stubborn, postgres, '1000');
    const killed = await save('--compose-project', project, '--key', 'c', '--stop-timeout', '1');
    expect(killed).toMatchObject({
      exitCode: 12,
      stderr: expect.stringMatching(
        `the container ${client} ended with exit code 137 [^]*init: true`,
      ),
    });
    expect(await runningOf(stack.containers)).toHaveLength(3);
    const allowed = ['--allow-unclean', client, '--stop-timeout', '1'];
    const unclean = await save('--container', cache, '--key', 'u', ...allowed);
    expect(unclean).toMatchObject({ exitCode: 0 });
    const { writers } = await readVolumesManifest(store, 'u');
    expect(writers.find(({ container }) => container === client)?.consistency).toEqual({
      ...{ method: 'stop', exitCode: 137 },
      mark: 'none: any exit code was allowed ("allow-unclean")',
    });
    expect(await runningOf(stack.containers)).toHaveLength(3);

    await docker('pause', client);
    const paused = await save('--container', cache, '--key', 'd');
    expect(paused).toMatchObject({
      exitCode: 9,
      stderr: expect.stringContaining(`docker unpause ${client}`),
    });
    await docker('unpause', client);
    await docker('rm', '--force', '--volumes', client);

    const pause = await save('--container', database, '--key', 'e', '--quiesce', 'pause');
    expect(pause).toMatchObject({ exitCode: 0 });
    expect(await readVolumesManifest(store, 'e')).toMatchObject({
      writers: [{ engine: 'postgres', consistency: { method: 'pause' } }],
      volumes: [{ leftOut: [] }],
    });

    // A database that has ended cleanly is saved as it is, and stays so; one that was killed is refused.
    await docker('stop', '--time', '30', database);
    expect(await save('--container', database, '--key', 'f')).toMatchObject({ exitCode: 0 });
    expect(await runningOf([database])).toEqual([]);
    const [ended] = (await readVolumesManifest(store, 'f')).volumes;
    expect(ended?.leftOut.map(({ pattern }) => pattern)).toContain('pg_notify/*');
    await docker('start', database);
    await untilServes(database);
    await docker('kill', database);
    const crashed = await save('--container', database, '--key', 'g');
    expect(crashed).toMatchObject({
      exitCode: 12,
      stderr: expect.stringContaining('has ended already'),
    });
    const keys = (await runCli(['list', '--store', `file:${store}`, '--json'])).stdout;
    expect([...keys.matchAll(/"key": "(.)"/g)].map(([, key]) => key).sort()).toEqual([
      'e',
      'f',
      'u',
    ]);
    await docker('start', client).catch(() => undefined);
  });
});

test('what cannot be saved is told before anything is stopped', async () => {
  const name = `refused-${process.pid}`;
  const task = `${name}-task`;
  const swarm = ['task.id=1', 'service.name=shop_db'].map((each) => `com.docker.swarm.${each}`);
  const labels = swarm.flatMap((each) => ['--label', each]);
  await docker('run', '--detach', '--rm', '--name', name, '--volume', '/data', redis);
  await docker('run', '--detach', ...labels, '--name', task, '--volume', '/data', redis);
  const startedOf = () => docker('inspect', '--format', '{{.State.StartedAt}}', name, task);
  try {
    const startedAt = await startedOf();
    const store = `file:${await scratch.folder('store')}`;
    const rows: [readonly string[], number, string][] = [
      [['--container', name, '--key', 'k'], 2, '--rm'],
      [['--container', 'nobody', '--key', 'k'], 8, 'there is no container nobody'],
      [['--volumes', 'nothing', '--key', 'k'], 19, 'there is no volume named nothing'],
      [['--compose-project', 'none', '--key', 'k'], 8, 'compose project none'],
      [['--key', 'k'], 2, 'nothing to save'],
      [['shop', '--include-binds', '--key', 'k'], 2, 'include-binds'],
      [['--container', name, '--key', 'a,b'], 2, 'comma'],
      [['--container', task, '--key', 'k'], 2, '"docker service scale shop_db=0"'],
      [['--container', task, '--key', 'k', '--quiesce', 'pause'], 2, 'belongs to Docker Swarm'],
      [['--container', name, '--key', 'k', '--allow-unclean', 'x'], 2, 'compose named x'],
      [['--container', name, '--key', 'k', '--allow-unclean', name], 2, 'is a database (redis)'],
    ];
    for (const [args, exitCode, message] of rows) {
      const result = await runCli(['save', '--store', store, ...args]);
      expect(result).toMatchObject({ exitCode, stderr: expect.stringContaining(message) });
    }
    expect(await startedOf()).toBe(startedAt);
  } finally {
    await docker('rm', '--force', '--volumes', name, task);
  }
});

test('a Redis whose password nobody tells is not stopped; with it, it is saved', async () => {
  const name = `locked-${process.pid}`;
  const config = 'requirepass open\\nsave ""\\ndir /data\\n';
  await docker(
    'run',
    '--detach',
    '--name',
    name,
    '--volume',
    '/data',
    '--entrypoint',
    'sh',
    redis,
    '-c',
    `printf '${config}' >/tmp/c; exec redis-server /tmp/c`,
  );
  try {
    const store = `file:${await scratch.folder('store')}`;
    const save = ['save', '--container', name, '--key', 'k', '--store', store];
    await docker(
      'exec',
      name,
      'sh',
      '-c',
      'until redis-cli ping | grep -q NOAUTH; do sleep 0.1; done',
    );
    await docker('exec', '--env', 'REDISCLI_AUTH=open', name, 'redis-cli', 'set', 'a', '1');
    const refused = await runCli(save);
    expect(refused).toMatchObject({ exitCode: 9, stderr: expect.stringContaining('"password"') });
    expect(await runCli([...save, '--password', 'open'])).toMatchObject({ exitCode: 0 });
    expect(await docker('exec', '--env', 'REDISCLI_AUTH=open', name, 'redis-cli', 'get', 'a')).toBe(
      '1',
    );
  } finally {
    await docker('rm', '--force', '--volumes', name);
  }
});
