import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { AppError } from '../../src/errors.ts';
import { inputNames, parseSettings, type InputName, type RawInputs } from '../../src/settings.ts';
import { makeSettings } from '../support/settings.ts';

function problemsOf(raw: RawInputs): readonly string[] {
  try {
    parseSettings(raw, { defaultStore: 'actions-cache' });
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid-settings') return error.details;
    throw error;
  }
  return [];
}

describe('inputs', () => {
  const action = parse(readFileSync(join(import.meta.dirname, '../../action.yml'), 'utf8')) as {
    inputs: Record<string, { description: string; default?: string }>;
  };

  test('are the same in action.yml and in the settings, but for secrets and what only a job has', () => {
    expect(Object.keys(action.inputs).sort()).toEqual(
      [...inputNames, 'token', 'identity', 'passphrase', 'upload', 'job-status'].sort(),
    );
  });

  test('have the same defaults in action.yml as when they are not given', () => {
    const declared = Object.fromEntries(
      Object.entries(action.inputs).flatMap(([name, input]) =>
        input.default === undefined ? [] : [[name, input.default]],
      ),
    );
    const withDefaults = parseSettings(
      { image: 'postgres', ...declared },
      { defaultStore: 'artifact' },
    );
    const without = parseSettings({ image: 'postgres' }, { defaultStore: 'actions-cache' });
    expect(withDefaults).toEqual(without);
  });
});

describe('settings', () => {
  test('take everything from the engine when only an engine is given', () => {
    const settings = parseSettings({ engine: 'postgres' }, { defaultStore: 'file:/s' });
    expect(settings).toMatchObject({
      image: 'postgres:17',
      name: 'postgres',
      credentials: { user: 'postgres', password: 'postgres', database: 'postgres' },
      store: { kind: 'file', dir: '/s' },
      waitTimeoutMs: 120_000,
    });
  });

  test('know the engine from the image, wherever it comes from', () => {
    for (const image of [
      'postgres',
      'postgres:17-alpine',
      'ghcr.io:443/acme/postgres@sha256:abc',
      'postgis/postgis:16',
    ]) {
      expect(makeSettings({ image }).engine.id).toBe('postgres');
    }
  });

  test('limit what is restored to 100 GB, or to what is given', () => {
    expect(makeSettings().maxBytes).toBe(100_000_000_000);
    expect(makeSettings({ 'max-size': '5GiB' }).maxBytes).toBe(5 * 1024 ** 3);
  });

  test('name the database after the user where only a user is given, as the images do', () => {
    expect(makeSettings({ user: 'app' }).credentials).toMatchObject({
      user: 'app',
      database: 'app',
    });
    expect(makeSettings({ user: 'app', database: 'shop' }).credentials.database).toBe('shop');
  });

  test('refuse what the engine has no use for, and say what to use', () => {
    expect(problemsOf({ image: 'redis:8', init: 'db/*.sql' })).toEqual([
      'init: images of engine redis take no init files; use "seed"',
    ]);
    expect(problemsOf({ image: 'redis:8', user: 'app' })).toEqual([
      'user: Redis has only the user "default" here; others are not part of its data, and would be gone after a restore',
    ]);
    expect(problemsOf({ engine: 'etcd', password: 'x' })).toEqual([
      'password: the image of etcd does not take it from its environment',
    ]);
  });

  test('refuse variables that the login is for', () => {
    expect(problemsOf({ image: 'postgres', env: 'POSTGRES_PASSWORD=x\nTZ=UTC' })).toEqual([
      'env: POSTGRES_PASSWORD: the login is set by "user", "password" and "database"',
    ]);
    for (const [image, env] of [
      ['postgres', 'POSTGRES_PASSWORD_FILE=/run/secrets/password'],
      ['mysql:8.4', 'MYSQL_RANDOM_ROOT_PASSWORD=yes'],
      ['mariadb:11', 'MYSQL_ROOT_PASSWORD=x'],
      ['mariadb:11', 'MARIADB_ROOT_PASSWORD_HASH=*1'],
    ] as const) {
      expect(problemsOf({ image, env })).toEqual([
        expect.stringContaining(`env: ${env.replace(/=.*/, '')}: the login is set by`),
      ]);
    }
    expect(problemsOf({ engine: 'elasticsearch', env: 'ES_JAVA_OPTS=-Xmx2g' })).toEqual([]);
  });

  test.each<[string, string]>([
    ['postgres:17', 'POSTGRES_HOST_AUTH_METHOD=trust'],
    ['mariadb:11.8', 'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1'],
    ['mariadb:11.8', 'MYSQL_ALLOW_EMPTY_PASSWORD=true'],
    ['bitnami/mariadb', 'ALLOW_EMPTY_PASSWORD=yes'],
    ['clickhouse', 'CLICKHOUSE_SKIP_USER_SETUP=1'],
  ])('%s has an empty password where %s allows it, and none is given', (image, env) => {
    for (const empty of [{}, { password: '' }]) {
      expect(makeSettings({ image, env, ...empty }).credentials.password).toBe('');
    }
    expect(makeSettings({ image, env, password: 'x' }).credentials.password).toBe('x');
    const no = env.replace(/=.*/, '=no');
    expect(makeSettings({ image, env: no }).credentials.password).not.toBe('');
  });

  test.each<[RawInputs, string]>([
    [
      { image: 'mariadb:11.8' },
      'password: images of mariadb take an empty one only with MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=yes in "env"',
    ],
    [{ image: 'mongo:8' }, 'password: images of mongodb take no empty one'],
    [
      { image: 'mysql:8.4', user: 'app', env: 'MYSQL_ALLOW_EMPTY_PASSWORD=1' },
      'user: the image makes no user "app" without a password',
    ],
  ])('refuse an empty password that the image of %j would not take', (raw, problem) => {
    expect(problemsOf({ ...raw, password: '' })).toEqual([problem]);
    expect(problemsOf({ image: 'redis:8', password: '' })).toEqual([]);
  });

  test('keep the default database of an engine whose image names none after the user', () => {
    expect(makeSettings({ image: 'mysql:8.4', user: 'app' }).credentials).toMatchObject({
      user: 'app',
      database: 'test',
    });
  });

  test('collect the patterns of one name of provenance: one of them has to match', () => {
    const rules = 'ref = refs/heads/main\nrepository=acme/*\nref=refs/tags/a=b';
    expect(makeSettings({ 'require-provenance': rules }).acceptance.provenance).toEqual([
      { name: 'ref', patterns: ['refs/heads/main', 'refs/tags/a=b'] },
      { name: 'repository', patterns: ['acme/*'] },
    ]);
  });

  test('keep the repositories of a shared folder apart, and no others', () => {
    const storeOf = (repository: string, store = 'file:/s') =>
      parseSettings({ image: 'postgres', store }, { defaultStore: 'file:/d', repository }).store;
    expect(storeOf('acme/shop')).toEqual({ kind: 'file', dir: '/s/acme/shop' });
    expect(storeOf('acme/.github')).toEqual({ kind: 'file', dir: '/s/acme/.github' });
    expect(storeOf('acme/shop', 'actions-cache')).toEqual({ kind: 'actions-cache' });
    for (const odd of ['acme', 'acme/..', '../x', 'acme/a/b', '/x', 'acme/']) {
      expect(() => storeOf(odd)).toThrow('and not OWNER/NAME');
    }
  });

  test('have the home folder for "~/" wherever a path of this machine is given', () => {
    const context = { defaultStore: 'file:~/d', home: '/home/me' };
    const inputs = { image: 'postgres', init: '~/a.sql', 'key-files': 'db\n~/b/**\n!~/b/c' };
    expect(parseSettings(inputs, context)).toMatchObject({
      store: { kind: 'file', dir: '/home/me/d' },
      init: ['/home/me/a.sql'],
      keyFiles: ['db', '/home/me/b/**', '!/home/me/b/c'],
    });
    expect(parseSettings({ ...inputs, store: 'file:~/s' }, context).store).toEqual({
      ...{ kind: 'file', dir: '/home/me/s' },
    });
  });

  test('name a default store that is none', () => {
    const parse = () => parseSettings({ image: 'postgres' }, { defaultStore: 'nowhere' });
    expect(parse).toThrow('store, where none is given: "nowhere" is not a store');
  });

  test('report all problems at once', () => {
    const problems = problemsOf({
      image: 'postgres',
      port: '99999',
      key: 'a,b',
      env: 'oops',
      save: 'maybe',
    });
    expect(problems).toHaveLength(4);
    expect(problems.join('\n')).toMatch(/key: .*comma[^]*save: "maybe"[^]*port|port: "99999"/);
  });

  test.each<[InputName, string, RegExp]>([
    ['engine', 'oracle', /unknown engine "oracle".*postgres, mysql, .*generic/],
    ['image', 'sqlite:3', /cannot tell the engine/],
    ['quiesce', 'kill', /stop, pause, none/],
    ['before-copy', 'true', /with "quiesce" none only/],
    ['container-port', '5433', /engine postgres does not take container-port/],
    ['name', 'Bad Name', /must be/],
    ['key', 'x'.repeat(513), /513 characters/],
    ['key', 'a,b', /comma/],
    ['restore-keys', 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj', /at most 9/],
    ['store', 's3://x', /not a store/],
    ['store', 'file:', /not a store/],
    ['store', 'artifact:latest@', /names no branch/],
    ['retention-days', '0', /from 1 to 90/],
    ['retention-days', '91', /from 1 to 90/],
    ['retention-days', '1.5', /from 1 to 90/],
    ['store-timeout', '0', /"0" is not a time/],
    ['retention-days', '7', /only the store artifact has it/],
    ['save', 'yes', /not one of/],
    ['fail-on-miss', '1', /not one of true, false/],
    ['expect-digest', 'sha256:abc', /64 digits of sha256/],
    [
      'require-provenance',
      'branch=main',
      /"branch=main" is not NAME=PATTERN, NAME being repository, ref/,
    ],
    ['require-provenance', 'ref=', /"ref=" is not NAME=PATTERN/],
    ['port', '-1', /not a port/],
    ['port', '65536', /not a port/],
    ['files', 'my.cnf', /LOCAL:\/PATH/],
    ['files', 'my.cnf:etc/my.cnf', /LOCAL:\/PATH/],
    ['files', 'my.cnf:/etc/my.cnf:0:4294967295', /ids of owners go up to 4294967294/],
    ['env', 'A=1\n2B=3', /line 2 is not NAME=VALUE; quote/],
    ['env', 'A=1\nB="x\ny', /line 2: the quote of B is not closed$/],
    ['env', "A='x\nB='y'", /line 1: the quote of A is closed in the middle of a line$/],
    ['env', 'A=1\n\nA=2', /line 3: A is given twice$/],
    ['network', 'host', /^network: "host" cannot be used: every database would take the port/],
    ['network', 'none', /^network: "none" cannot be used: nobody could connect/],
    ['network', 'container:app', /join the network that it is in/],
    ['args', '-c "x', /quote is not closed/],
    ['options', '--privileged', /only --memory, --shm-size, --ulimit, --tmpfs, --cap-add$/],
    ['options', '--memory much', /not a size/],
    ['options', '--memory 1g --ulimit', /--ulimit needs a value/],
    ['options', '--ulimit nofile', /not a limit like/],
    ['options', '--ulimit nofile=1:2:3', /not a limit like/],
    ['options', '--tmpfs run', /"run" is not an absolute path/],
    ['options', '--cap-add "SYS NICE"', /not a capability/],
    ['network-alias', 'db', /^network-alias: it is a name in a network/],
    ['durability', 'none', /not one of relaxed, full/],
    ['wait-timeout', '0', /not a time/],
    ['stop-timeout', '1h', /not a time/],
    ['volumes-extra', 'wal', /NAME:\/PATH/],
    ['volumes-extra', 'data:/x', /own volume/],
    ['volumes-extra', 'a:/x\na:/y', /twice/],
    ['compression', 'zstd:20', /zstd:1/],
    ['compression', 'gzip', /zstd:1/],
    ['copy', 'rsync', /auto, pipe, archive/],
    ['max-size', '5', /not a size/],
    ['data-path', 'data', /absolute path/],
  ])('%s: %j is refused', (name, value, message) => {
    const [problem, ...others] = problemsOf({ image: 'postgres', [name]: value });
    expect(others).toEqual([]);
    expect(problem).toMatch(message);
  });

  test('values between quotes lose them, and may go over several lines; others stay as they are', () => {
    const pem = '-----BEGIN KEY-----\n  a=b\n\n-----END KEY-----\n';
    const given = [
      ...['TZ="Europe/Berlin"', 'ONE=\'a "b" \'  ', 'EMPTY=""', `  PEM="${pem}"`, 'AFTER=x'],
      ...['JSON={"a": "b"}', 'LIST="a","b"', `PASSWORD=a#b'c"\\n`, 'NOTHING='],
    ];
    expect(makeSettings({ env: given.join('\n') }).env).toEqual({
      ...{ TZ: 'Europe/Berlin', ONE: 'a "b" ', EMPTY: '', PEM: pem, AFTER: 'x' },
      ...{ JSON: '{"a": "b"}', LIST: '"a","b"', PASSWORD: `a#b'c"\\n`, NOTHING: '' },
    });
    expect(makeSettings({ env: 'A="x\r\ny"\r\nB=z\r' }).env).toEqual({ A: 'x\r\ny', B: 'z' });
  });

  test('the network that the engine gives to all is as none', () => {
    for (const network of ['bridge', 'default', '']) {
      expect(makeSettings({ network }).network).toBeUndefined();
    }
    expect(makeSettings({ network: 'job' }).network).toBe('job');
  });

  test('a wrong line of env is not repeated with its value', () => {
    for (const env of ['1X=secret', 'A="secret', 'A="secret\nsecret" secret', 'A="x\ny"\nsecret']) {
      expect(problemsOf({ image: 'postgres', env }).join()).toMatch(/^env: line (?!.*secret)/);
    }
  });

  test('other runs are read with a token, which is no part of the settings', () => {
    for (const store of ['artifact:run=5', 'artifact:latest@main']) {
      expect(problemsOf({ image: 'postgres', store })).toEqual([
        expect.stringMatching(`^token: the store ${store} reads other runs.*"actions: read"`),
      ]);
      const settings = parseSettings(
        { image: 'postgres', store },
        { defaultStore: 'artifact', token: 'ghs_secret' },
      );
      expect(JSON.stringify(settings)).not.toContain('ghs_secret');
    }
    expect(problemsOf({ image: 'postgres', store: 'artifact' })).toEqual([]);
  });

  test('artifacts may be kept for some days', () => {
    const { store } = makeSettings({ store: 'artifact', 'retention-days': '3' });
    expect(store).toEqual({ kind: 'artifact', from: { kind: 'this-run' }, retentionDays: 3 });
    const { store: patient } = makeSettings({ store: 'file:/srv', 'store-timeout': '2m' });
    expect(patient).toEqual({ kind: 'file', dir: '/srv', timeoutMs: 120_000 });
  });

  test('generic needs to know when the database is ready', () => {
    expect(problemsOf({ engine: 'generic', image: 'x' }).join()).toMatch(/ready-command/);
    expect(problemsOf({ engine: 'generic', 'ready-command': 'true' }).join()).toMatch(
      /no default image/,
    );
    expect(problemsOf({ engine: 'generic', image: 'x', 'ready-command': 'true' })).toEqual([]);
  });

  test('read what is written in many ways', () => {
    const settings = makeSettings({
      args: `-c "search_path=a b" -c work_mem='4 MB'`,
      options:
        '--memory=1g --shm-size 256m --ulimit nofile=1024:2048 --ulimit=core=-1 ' +
        '--tmpfs /run:size=64m,mode=755 --tmpfs=/t --cap-add SYS_NICE --cap-add=ipc_lock',
      network: 'job',
      'network-alias': 'db',
      files: 'db/my.cnf:/etc/mysql/conf.d/\n./certs:/x/../certs:1000680000\na b:/c d:1:0',
      'wait-timeout': '2m',
      compression: 'zstd:19',
      env: 'A=1\n\n B=x=y ',
      'volumes-extra': 'wal:/var/wal/',
      'restore-keys': 'db-\n\nother-',
    });
    expect(settings).toMatchObject({
      args: ['-c', 'search_path=a b', '-c', 'work_mem=4 MB'],
      options: {
        memoryBytes: 1024 ** 3,
        shmBytes: 256 * 1024 ** 2,
        ulimits: [
          { name: 'nofile', soft: 1024, hard: 2048 },
          { name: 'core', soft: -1, hard: -1 },
        ],
        tmpfs: { '/run': 'size=64m,mode=755', '/t': '' },
        capAdd: ['SYS_NICE', 'IPC_LOCK'],
      },
      networkAlias: 'db',
      files: [
        { local: 'db/my.cnf', target: '/etc/mysql/conf.d/', owner: 0, group: 0 },
        { local: './certs', target: '/certs', owner: 1000680000, group: 1000680000 },
        { local: 'a b', target: '/c d', owner: 1, group: 0 },
      ],
      waitTimeoutMs: 120_000,
      compression: { kind: 'zstd', level: 19 },
      env: { A: '1', B: 'x=y' },
      extraVolumes: [{ name: 'wal', mountPath: '/var/wal' }],
      restoreKeys: ['db-', 'other-'],
    });
  });
});
