import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { composeTools, type Composition } from '../../src/compose.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { postgres } from '../../src/engines/postgres.ts';
import { redis } from '../../src/engines/redis.ts';
import { matcherOf } from '../../src/runtime/path-pattern.ts';
import { createFileStore } from '../../src/stores/file.ts';
import type { Tools } from '../../src/usecases/context.ts';
import { listLargestTables, type DataSource } from '../../src/usecases/probes.ts';
import { whileQuiesced, type Copy, type QuiesceSettings } from '../../src/usecases/quiesce.ts';
import { saveVolumes } from '../../src/usecases/save-volumes.ts';
import { parseSaveSettings, saveRequest } from '../../src/volume-settings.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { useScratch } from '../support/store-bundles.ts';

// What a copy must not do to a database, and a database not to a copy. On real servers; the copy is a stand-in.

const password = 'secret';
const running = '{{.State.Running}} {{.State.Paused}}';
const { signal } = new AbortController();
const scratch = useScratch();

let composed: Composition<Tools>;
const messages: string[] = [];
beforeAll(async () => {
  const log = {
    debug: () => undefined,
    info: (message: string) => messages.push(message),
    warn: (message: string) => messages.push(`warning: ${message}`),
    group: <T>(_title: string, work: () => Promise<T>) => work(),
    progress: () => undefined,
    mask: () => undefined,
  };
  const around = { log, tempDir: tmpdir(), cwd: tmpdir(), env: process.env, outputFd: 2 as const };
  composed = await composeTools(around, 'auto');
});
afterAll(async () => {
  await composed[Symbol.asyncDispose]();
});

let id = '';
async function startServer(engine: Engine, image: string): Promise<DataSource> {
  const credentials = { ...engine.defaults, ...(engine.id === 'postgres' && { password }) };
  id = await docker(
    ...['run', '--detach', '--name', `snapvol-quiesce-${randomBytes(4).toString('hex')}`],
    ...Object.entries(engine.containerEnv(credentials)).flatMap(([n, v]) => ['--env', `${n}=${v}`]),
    testImage(image),
  );
  const { command, env } = engine.readiness(credentials);
  const { runtime, clock } = composed.tools;
  while ((await runtime.exec(id, command, env)).exitCode !== 0) await clock.sleep(50, signal);
  const endpoint = { ...credentials, host: '127.0.0.1', port: 0 };
  const dataPath = engine.id === 'postgres' ? '/var/lib/postgresql/data' : '/data';
  return { id, engine, endpoint, dataPath, mountPaths: [dataPath] };
}

let server: DataSource;
beforeEach(() => {
  messages.length = 0;
});
afterEach(() => docker('rm', '--force', '--volumes', id));

function quiesced<T>(
  settings: Partial<QuiesceSettings>,
  copy: Copy<T>,
): ReturnType<typeof whileQuiesced<T>> {
  const defaults: QuiesceSettings = {
    ...{ quiesce: 'stop', stopTimeoutMs: 20_000, beforeCopy: undefined, afterCopy: undefined },
    trim: true,
  };
  return whileQuiesced(composed.tools, server, { ...defaults, ...settings }, copy, signal);
}

const state = (): Promise<string> => docker('inspect', '--format', running, id);
const broken = (): Promise<never> => Promise.reject(new Error('the copy broke'));

describe('Postgres', () => {
  beforeEach(async () => {
    server = await startServer(postgres, 'postgres:17');
  });

  test('names its largest tables unless a lock keeps it from that, is stopped while it is copied, and stays so', async () => {
    const psql = ['exec', '--user', 'postgres', id, 'psql', '--command'];
    await docker(...psql, 'create table small (i int); create table "a\n<b>" (i int)');
    await docker(...psql, 'create table big as select generate_series(1, 10000) i');
    const list = () => listLargestTables(composed.tools.runtime, server, signal);
    expect(await list()).toMatchObject([{ name: 'big' }, { name: '"a?<b>"', bytes: 0 }, {}]);
    await docker(
      ...['exec', '--detach', ...psql.slice(1), 'begin; lock small; select pg_sleep(60)'],
    );
    const waiting = "select count(*) from pg_locks where relation = 'small'::regclass and granted";
    while (!(await docker(...psql, waiting)).includes('1\n')) await composed.tools.clock.sleep(50);
    expect(await list()).toEqual([]);
    const { copied, consistency, dataVersion, items } = await quiesced({}, state);
    expect(copied).toBe('false false');
    expect(await state()).toBe('false false');
    expect({ consistency, dataVersion, items }).toEqual({
      consistency: { method: 'stop', exitCode: 0, mark: 'pg_control: shut down' },
      dataVersion: '17',
      items: null,
    });
    expect(await list()).toEqual([]);
  });

  test('is copied with all of its log, also what only a replica still wants, but without spare files', async () => {
    const psql = (...sql: readonly string[]): Promise<string> =>
      docker(
        ...['exec', id, 'psql', '--username', 'postgres', '--tuples-only', '--no-align', '--quiet'],
        ...sql.flatMap((each) => ['--command', each]),
      );
    const write = ['select txid_current()', 'select pg_switch_wal()'];
    await psql(...write, ...write, ...write, 'checkpoint');
    await psql(`select pg_create_physical_replication_slot('late', true)`, ...write, ...write);
    const [first = '', last = ''] = (
      await psql(
        'checkpoint',
        'select pg_walfile_name(restart_lsn) from pg_replication_slots',
        'select pg_walfile_name(pg_current_wal_insert_lsn())',
      )
    ).split('\n');
    const { copied } = await quiesced({}, async (worthless) => {
      const ls = ['--entrypoint', 'ls', testImage('postgres:17'), `${server.dataPath}/pg_wal`];
      const files = (await docker('run', '--rm', '--volumes-from', id, ...ls)).split('\n');
      const isLeftOut = matcherOf(worthless);
      return files.map((name) => ({ name, isLeftOut: isLeftOut(`./pg_wal/${name}`) }));
    });
    const segments = copied.filter(({ name }) => name.length === first.length);
    expect(segments.filter(({ name }) => name < first)).toEqual([]);
    const written = segments.filter(({ name }) => name <= last);
    expect(written.length).toBeGreaterThanOrEqual(3);
    expect(written.filter(({ isLeftOut }) => isLeftOut)).toEqual([]);
    const spare = segments.filter(({ name }) => name > last);
    expect(spare.length).toBeGreaterThan(0);
    expect(spare.filter(({ isLeftOut }) => !isLeftOut)).toEqual([]);
    const others = copied.filter((each) => !segments.includes(each));
    expect(others.filter(({ isLeftOut }) => isLeftOut)).toEqual([]);
    expect(
      (await quiesced({ trim: false }, (worthless) => Promise.resolve(worthless))).copied,
    ).toEqual([]);
  });

  test('that was started while it was copied makes no snapshot', async () => {
    await expect(quiesced({}, () => docker('start', id))).rejects.toMatchObject({
      code: 'unclean-shutdown',
      message: expect.stringContaining('was started while it was copied'),
    });
  });

  test('that was started and has ended again meanwhile makes none either', async () => {
    const copy = (): Promise<string> => docker('start', id).then(() => docker('kill', id));
    await expect(quiesced({}, copy)).rejects.toMatchObject({ code: 'unclean-shutdown' });
  });

  test('that was killed makes no snapshot: nothing is copied', async () => {
    await docker('kill', id);
    const copy = () => Promise.reject(new Error('must not be called'));
    await expect(quiesced({}, copy)).rejects.toMatchObject({
      code: 'unclean-shutdown',
      message: expect.stringContaining('exit code 137'),
    });
  });

  test('is paused while it is copied, and goes on when the copy breaks', async () => {
    const paused = await quiesced({ quiesce: 'pause' }, async (worthless) => [
      await state(),
      worthless,
    ]);
    expect(paused.copied).toEqual(['true true', []]);
    expect(await state()).toBe('true false');
    await expect(quiesced({ quiesce: 'pause' }, broken)).rejects.toThrow('the copy broke');
    expect(await state()).toBe('true false');
  });

  test('that goes on while it was to be paused makes no snapshot', async () => {
    const copy = (): Promise<string> => docker('unpause', id);
    await expect(quiesced({ quiesce: 'pause' }, copy)).rejects.toMatchObject({
      code: 'unclean-shutdown',
      message: expect.stringContaining('went on while it was copied'),
    });
  });

  test('gets its second hook when the copy breaks; the first error is the one that counts', async () => {
    const hooks = { beforeCopy: 'true', afterCopy: 'exit 4' };
    await expect(quiesced({ quiesce: 'none', ...hooks }, broken)).rejects.toThrow('the copy broke');
    // Behind it comes its evidence, the log of the server.
    expect(messages.slice(0, 2)).toEqual([
      expect.stringContaining('neither stopped nor paused'),
      expect.stringMatching(/^warning: after-copy failed with exit code 4/),
    ]);
    await expect(quiesced({ quiesce: 'none', ...hooks }, state)).rejects.toMatchObject({
      code: 'hook-failed',
    });
  });
});

describe('Redis', () => {
  beforeEach(async () => {
    server = await startServer(redis, 'redis:7');
    await docker('exec', id, 'redis-cli', 'mset', 'one', '1', 'two', '2');
  });

  test('whose answer is noise has no tables to show', async () => {
    const list = (script: string) => {
      const largestTables = () => ({ command: ['sh', '-c', script], env: {} });
      const { runtime } = composed.tools;
      return listLargestTables(runtime, { ...server, engine: { ...redis, largestTables } }, signal);
    };
    expect(await list("printf '9\\ta\\n'; exit 1")).toEqual([]);
    expect(await list('no-such-program')).toEqual([]);
    const lines = ['warning: x', '9\\ta\\tb', '-1\\tc', '8\\t', '9999999999999999999\\td'];
    expect(await list(`printf '${lines.join('\\n')}'`)).toEqual([{ name: 'a\tb', bytes: 9 }]);
    const many = await list('for i in $(seq 40); do printf "7\\t%0500d\\n" $i; done');
    expect(many.map(({ name }) => name)).toEqual(Array(10).fill('0'.repeat(200)));
  });

  test('is told to write all its keys, and counted', async () => {
    const { consistency, items } = await quiesced({}, state);
    expect({ consistency, items }).toEqual({
      consistency: { method: 'stop', exitCode: 0, mark: 'dump.rdb' },
      items: 2,
    });
  });

  test('that is too slow to write them is not killed: they are in memory only', async () => {
    const shutdown = () => ({ command: ['sleep', '30'], env: {} });
    server = { ...server, engine: { ...redis, shutdown } };
    await expect(quiesced({ stopTimeoutMs: 1000 }, state)).rejects.toMatchObject({
      code: 'unclean-shutdown',
      message: expect.stringMatching(
        /^no snapshot of \/data in snapvol-quiesce-\w+: it did not shut down within 1 s \("stop-timeout"\)$/,
      ),
    });
    expect(await docker('exec', id, 'redis-cli', 'get', 'two')).toBe('2');
  });

  test('that has no time to say so makes no snapshot', async () => {
    // Busy for longer than it is given.
    await docker('exec', '--detach', id, 'redis-cli', 'eval', 'while true do end', '0');
    await expect(quiesced({ stopTimeoutMs: 1000 }, state)).rejects.toMatchObject({
      code: 'container-unhealthy',
      message: expect.stringMatching(
        /^the database in snapvol-quiesce-\w+ did not say how much it holds within 1 s$/,
      ),
    });
  });
});

test('a container is not started beside one that writes to its volume since it was stopped', async () => {
  const name = `snapvol-quiesce-${randomBytes(4).toString('hex')}`;
  const program = `trap 'exit 0' TERM; touch /elsewhere/file; sleep 1000 & wait`;
  const writer = (...args: readonly string[]): Promise<string> =>
    docker(
      ...['run', '--detach', '--volume', `${name}:/elsewhere`, '--entrypoint', 'sh', ...args],
      ...[testImage('redis:7'), '-c', program],
    );
  id = await writer('--name', name);
  const { runtime, clock } = composed.tools;
  const trapped = ['test', '-e', '/elsewhere/file'];
  while ((await runtime.exec(id, trapped, {})).exitCode !== 0) await clock.sleep(50, signal);
  const newcomer = `${name}-new`;
  const store = createFileStore(await scratch.folder('store'));
  const scratchDir = await scratch.folder('scratch'); // each save makes its folder there
  const copier: Tools['copier'] = {
    ...composed.tools.copier,
    async save(target, archiveFile, compression) {
      const saved = await composed.tools.copier.save(target, archiveFile, compression, signal);
      await writer('--name', newcomer);
      return saved;
    },
  };
  const settings = parseSaveSettings({ volumes: name }, { defaultStore: 'artifact', cwd: '/' });
  const request = { ...saveRequest(settings), key: 'k', provenance: {} };
  try {
    await expect(
      saveVolumes({ ...composed.tools, copier, store, scratchDir }, request, signal),
    ).rejects.toMatchObject({
      code: 'container-unhealthy',
      message: `the container ${name} is left stopped: ${newcomer} was started meanwhile, and may write to ${name} as well`,
    });
    expect(messages).toContainEqual(
      expect.stringContaining(`warning: no snapshot: ${newcomer} was started meanwhile`),
    );
    expect(await state()).toBe('false false');
    expect(await docker('inspect', '--format', running, newcomer)).toBe('true false');
  } finally {
    await docker('rm', '--force', '--volumes', newcomer, name);
    await docker('volume', 'rm', name, `snapvol-suspended-${id.slice(0, 12)}`);
  }
});

test('a container that writes to a volume while it is copied is noticed, though it has ended again', async () => {
  const volume = `snapvol-quiesce-${randomBytes(4).toString('hex')}`;
  const write = ['--volume', `${volume}:/elsewhere`, '--entrypoint', 'sh', testImage('redis:7')];
  id = await docker('create', ...write, '-c', 'date >>/elsewhere/file');
  await docker('start', '--attach', id);
  const store = createFileStore(await scratch.folder('store'));
  const copier: Tools['copier'] = {
    ...composed.tools.copier,
    async save(target, archiveFile, compression) {
      const saved = await composed.tools.copier.save(target, archiveFile, compression, signal);
      await docker('start', '--attach', id);
      return saved;
    },
  };
  const tools = { ...composed.tools, copier, store };
  const settings = parseSaveSettings({ volumes: volume }, { defaultStore: 'artifact', cwd: '/' });
  const request = { ...saveRequest(settings), key: 'k', provenance: {} };
  try {
    await expect(saveVolumes(tools, request, signal)).rejects.toMatchObject({
      code: 'unclean-shutdown',
      message: expect.stringMatching(/^no snapshot: .* was started meanwhile/),
    });
    expect(await store.find({ primary: 'k', prefixes: [] }, signal)).toBeUndefined();
  } finally {
    await docker('rm', '--volumes', id);
    await docker('volume', 'rm', volume);
  }
});
