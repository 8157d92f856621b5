import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { version } from '../../src/version.ts';
import { runCli, type CliOptions, type CliResult } from '../support/cli.ts';
import { docker, madeWith, removeMadeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { query, queryUrl, sqlScript } from '../support/postgres.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

const image = testImage('postgres:17');
const prefix = `cli-${randomBytes(4).toString('hex')}`;
const seed = sqlScript(
  'create table item (id int primary key); insert into item select generate_series(1, 1000);',
);
const countItems = 'select count(*) from item';

let scratch: ScratchFolder;
let storeDir: string;
let tempDir: string;
const names: string[] = [];
const volumes: string[] = [];

beforeAll(async () => {
  scratch = await createScratch();
  storeDir = await scratch.folder('store');
  tempDir = await scratch.folder('temp');
});

afterAll(async () => {
  for (const name of names) await removeMadeWith(`dev.snapvol.name=${name}`);
  for (const volume of volumes) await docker('volume', 'rm', '--force', volume);
  await scratch.remove();
});

/** A database's name that no other test has; what is made under it goes in the end. */
function newName(what: string): string {
  const name = `${prefix}-${what}`;
  names.push(name);
  return name;
}

function newVolume(what: string): string {
  const volume = `${prefix}-${what}`;
  volumes.push(volume);
  return volume;
}

/** With a store and a folder for temporary files of its own. */
function snapvol(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const env = { SNAPVOL_STORE: `file:${storeDir}`, TMPDIR: tempDir, ...options.env };
  return runCli(args, { ...options, env });
}

/** stdout of a command that must succeed. */
async function output(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await snapvol(args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) });
  return stdout;
}

async function jsonOf(...args: string[]): Promise<unknown> {
  return JSON.parse(await output(...args, '--json')) as unknown;
}

/** The one document of a command that must fail with this code. */
async function failure(
  code: ErrorCode,
  args: readonly string[],
  options?: CliOptions,
): Promise<{ message: string; hint: string | null; details: string[] }> {
  const { exitCode, stdout } = await snapvol([...args, '--json'], options);
  // A cast: the next line looks at it.
  const { error } = JSON.parse(stdout) as {
    error: { code: string; message: string; hint: string | null; details: string[] };
  };
  expect({ exitCode, error }).toEqual({
    exitCode: exitCodes[code],
    error: {
      code,
      message: expect.any(String),
      hint: error.hint === null ? null : expect.any(String),
      details: expect.any(Array),
    },
  });
  return error;
}

interface Started {
  readonly outcome: string;
  readonly key: string;
  readonly container: string;
  readonly volume: string;
  readonly url: string;
  readonly port: number;
}

function startArgs(name: string, ...more: string[]): string[] {
  return ['start', name, '--image', image, '--port', '0', ...more];
}

async function startJson(name: string, ...more: string[]): Promise<Started> {
  // A cast: what is read of it is compared by the tests.
  return (await jsonOf(...startArgs(name, ...more))) as Started;
}

test('a whole session: seed, stop, restore, change, save, look, restore a volume, remove', async () => {
  const name = newName('session');
  const volume = newVolume('copy');
  const begin = startArgs(name, '--seed', seed);

  const first = await snapvol(begin);
  expect(first.exitCode).toBe(0);
  // The URL and nothing else, so that $(snapvol start ...) works. Elsewhere there is no password.
  expect(first.stdout).toMatch(/^postgresql:\/\/postgres:postgres@127\.0\.0\.1:\d+\/postgres\n$/);
  expect(await queryUrl(first.stdout.trim(), countItems)).toBe('1000');
  expect(first.stderr).toContain('Miss: no snapshot for this key');
  expect(first.stderr).toContain(`snapvol stop ${name}`);
  expect(first.stderr).not.toContain('postgres:postgres@');

  const made = await madeWith(`dev.snapvol.name=${name}`);
  expect(made.containers).toHaveLength(1);
  expect(made.volumes).toHaveLength(3);
  expect(await jsonOf('stop', name)).toEqual({ name, ...made });
  expect(await madeWith(`dev.snapvol.name=${name}`)).toEqual({ containers: [], volumes: [] });

  const second = await startJson(name, '--seed', seed, '--fail-on-miss');
  expect(second).toMatchObject({ outcome: 'hit', name, store: `file:${storeDir}` });
  expect(await query(second.container, countItems)).toBe('1000');
  await query(second.container, 'insert into item values (1001)');

  const saved = await jsonOf('save', name, '--key', `${prefix}-more`, '--compression', 'zstd:1');
  expect(saved).toMatchObject({ key: `${prefix}-more`, container: second.container });
  // The same container on the same port.
  expect(await queryUrl(second.url, countItems)).toBe('1001');
  const taken = await failure('name-taken', ['save', name, '--key', `${prefix}-more`]);
  expect(taken.hint).toContain(`snapvol rm ${prefix}-more`);

  const listed = (await output('list')).split('\n');
  expect(listed[0]).toMatch(/^NAME +KEY +AGE +SIZE +ENGINE +IMAGE +ARCHITECTURE +CREATED$/);
  expect(listed[1]).toMatch(new RegExp(`^${name} +${prefix}-more +\\d+ s .*postgres +${image}`)); // newest first
  expect(listed[2]).toContain(second.key);
  expect(await jsonOf('list')).toEqual({
    snapshots: [
      expect.objectContaining({ key: `${prefix}-more`, engine: 'postgres', image }),
      expect.objectContaining({ key: second.key }),
    ],
  });
  expect(await output('inspect', prefix)).toContain('pg_control: shut down');
  const inspected = await jsonOf('inspect', second.key.slice(0, -20));
  expect(inspected).toMatchObject({
    key: second.key,
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    manifest: { key: second.key, engine: { id: 'postgres', dataVersion: '17' } },
  });
  expect(await output('verify', prefix)).toContain(`${prefix}-more is whole: 1 archive`);
  expect(await jsonOf('verify', second.key)).toMatchObject({
    digest: (inspected as { digest: string }).digest, // a cast: compared above
    archives: [{ archive: 'data.tar.zst', sha256: expect.any(String) }],
  });

  // A name of its own, though the volume is named as the database is: `stop` must leave it.
  expect(await jsonOf('restore', `${prefix}-m`, '--volume', volume)).toMatchObject({
    key: `${prefix}-more`,
    volumes: [{ name: 'data', volume, mountPath: '/var/lib/postgresql/data' }],
  });
  const again = await failure('volume-taken', ['restore', `${prefix}-m`, '--volume', volume]);
  expect(again.message).toContain(volume);
  await output('stop', name, '--quiet');
  expect(await docker('volume', 'ls', '--quiet', '--filter', `name=^${volume}$`)).toBe(volume);
  expect(await rowsIn(volume)).toBe('1001');

  // What was saved under a key can be started from it.
  const third = await startJson(name, '--key', `${prefix}-more`, '--fail-on-miss');
  expect(await query(third.container, countItems)).toBe('1001');
  // Without a key, a snapshot has its name and its moment for one, and is found by the name.
  const versioned = (await jsonOf('save', name)) as { key: string }; // a cast: compared below
  expect(versioned.key).toMatch(new RegExp(`^${name}-20\\d{6}-\\d{6}$`));
  expect(await jsonOf('inspect', name)).toMatchObject({ key: versioned.key, manifest: { name } });
  await output('rm', versioned.key);
  await output('stop', name);

  expect(await output('rm', prefix)).toBe(`removed ${prefix}-more from file:${storeDir}\n`);
  await output('rm', second.key);
  expect(await jsonOf('list')).toEqual({ snapshots: [] });
  expect(await readdir(tempDir)).toEqual([]);
});

/** What a server on the volume answers. */
async function rowsIn(volume: string): Promise<string> {
  const mount = `${volume}:/var/lib/postgresql/data`;
  const container = await docker('run', '--detach', '--rm', '--volume', mount, image);
  try {
    // The server waits for nobody: psql asks until it is there.
    const ask = `until psql -U postgres -Atc '${countItems}' 2>/dev/null; do :; done`;
    return await docker('exec', container, 'timeout', '60', 'sh', '-c', ask);
  } finally {
    await docker('rm', '--force', '--volumes', container);
  }
}

describe('a database of the generic engine', () => {
  const generic = [
    ...['--engine', 'generic', '--image', image, '--port', '0', '--save', 'false'],
    ...['--data-path', '/var/lib/postgresql/data', '--container-port', '5432'],
  ];

  test('is saved with its extra volumes, as its options say', async () => {
    const name = newName('generic');
    const volume = newVolume('generic-copy');
    volumes.push(`${volume}-files`);
    const start = [
      ...['start', name, ...generic, '--env', 'POSTGRES_PASSWORD=secret', '--password', 'secret'],
      ...['--ready-command', 'psql -U postgres -h 127.0.0.1 -c "select 1"'],
      ...['--env', 'PGPASSWORD=secret', '--volumes-extra', 'files:/files'],
      ...['--url', 'postgres://postgres:{password}@{host}:{port}/postgres'],
    ];
    // A cast: the container is used in the next line.
    const { container } = (await jsonOf(...start)) as Started;
    await docker('exec', container, 'touch', '/files/one');
    await output('save', name, '--key', `${prefix}-generic`);
    expect(await docker('exec', container, 'ls', '/files')).toBe('one');
    expect(await output('restore', `${prefix}-generic`, '--volume', volume)).toMatch(
      new RegExp(`^${volume} .*\\n${volume}-files +files .*/files$`, 'm'),
    );
    await output('stop', name);
    expect(await docker('run', '--rm', '--volume', `${volume}-files:/f`, image, 'ls', '/f')).toBe(
      'one',
    );
    // The password is part of what must fit, though no variable of the container tells it.
    const hit = [...start.filter((arg) => arg !== '--save' && arg !== 'false'), '--fail-on-miss'];
    expect(await jsonOf(...hit, '--key', `${prefix}-generic`)).toMatchObject({ outcome: 'hit' });
    await output('stop', name);
    await output('rm', `${prefix}-generic`);
  });

  test('that does not stop cleanly is not saved, but runs again; so does one whose save is cancelled', async () => {
    const name = newName('stubborn');
    // As process 1 it takes no signal that it does not handle.
    const start = ['start', name, ...generic, '--args', 'sleep 1000', '--ready-command', 'true'];
    const { container } = (await jsonOf(...start)) as Started; // a cast, as above
    const isRunning = (): Promise<string> =>
      docker('inspect', '--format', '{{.State.Running}}', container);
    const save = ['save', name, '--key', `${prefix}-no`, '--stop-timeout', '1'];
    const { message } = await failure('unclean-shutdown', save);
    expect(message).toContain('killed');
    expect(await isRunning()).toBe('true');
    await failure('cancelled', save, { interrupt: { signal: 'SIGINT', when: /^Snapshot/ } });
    expect(await isRunning()).toBe('true');
    await failure('snapshot-missing', ['inspect', `${prefix}-no`]);
    await output('stop', name);
  });
});

describe('failures have their own exit codes and leave nothing', () => {
  const nothing = { containers: [], volumes: [] };

  test('unknown words', async () => {
    const { exitCode, stdout, stderr } = await snapvol(['strat']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('Did you mean "start"?');
    expect((await failure('invalid-settings', ['start', '--imag', 'x'])).hint).toContain('--image');
    expect((await failure('invalid-settings', ['start', '--port', 'x'])).message).toContain('port');
    await failure('invalid-settings', ['list', '--store', 'nowhere']);
  });

  test('missing snapshots', async () => {
    await failure('snapshot-missing', ['rm', `${prefix}-none`]);
    await failure('snapshot-missing', ['restore', `${prefix}-none`, '--volume', `${prefix}-none`]);
    const name = newName('miss');
    await failure('snapshot-missing', startArgs(name, '--fail-on-miss'));
    expect(await madeWith(`dev.snapvol.name=${name}`)).toEqual(nothing);
  });

  test('names that nothing was started under', async () => {
    await failure('container-missing', ['stop', `${prefix}-none`]);
    await failure('container-missing', ['save', `${prefix}-none`, '--key', `${prefix}-none`]);
  });

  test('a seed that fails, with its reason', async () => {
    const name = newName('seed');
    await failure('seed-failed', startArgs(name, '--seed', 'echo no >&2; exit 3'));
    expect(await madeWith(`dev.snapvol.name=${name}`)).toEqual(nothing);
  });

  test('a seed that is cancelled', async () => {
    const name = newName('cancelled');
    const seeding = startArgs(name, '--seed', 'echo seeding >&2; exec sleep 1000');
    await failure('cancelled', seeding, { interrupt: { signal: 'SIGTERM', when: /seeding/ } });
    expect(await madeWith(`dev.snapvol.name=${name}`)).toEqual(nothing);
    expect(await readdir(tempDir)).toEqual([]);
  });

  test('a name and a port that are taken, by whom', async () => {
    const name = newName('first');
    const first = await startJson(name, '--save', 'false');
    const sameName = await failure('name-taken', startArgs(name));
    expect(sameName.hint).toContain(`snapvol stop ${name}`);
    const second = newName('second');
    const onPort = ['start', second, '--image', image, '--port', String(first.port)];
    const samePort = await failure('port-taken', onPort);
    expect(samePort.message).toContain(`port ${first.port} is taken by container snapvol-${name}`);
    expect(await madeWith(`dev.snapvol.name=${second}`)).toEqual(nothing);
    // Whatever has become of the database, its name is taken until it is stopped.
    await docker('kill', first.container);
    await failure('name-taken', startArgs(name));
    // It was killed: what it left is not trusted, and it is not started again.
    await failure('unclean-shutdown', ['save', name, '--key', `${prefix}-killed`]);
    await output('stop', name);
  });

  test('a damaged snapshot', async () => {
    const name = newName('damaged');
    const key = `${prefix}-damaged`;
    await startJson(name, '--seed', 'true', '--key', key);
    await output('stop', name);
    const archive = join(storeDir, key, 'data.tar.zst');
    const bytes = await readFile(archive);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await chmod(archive, 0o644); // the store makes its files read-only
    await writeFile(archive, bytes);
    const { message } = await failure('snapshot-corrupt', ['verify', key]);
    expect(message).toContain('data.tar.zst is damaged');
    const volume = newVolume('damaged');
    await failure('snapshot-corrupt', ['restore', key, '--volume', volume]);
    expect(await docker('volume', 'ls', '--quiet', '--filter', `name=${volume}`)).toBe('');
    await output('rm', key);
  });

  test('stores and engines that do not answer', async () => {
    const env = { DOCKER_HOST: 'unix:///nonexistent' };
    const { message } = await failure('docker-unreachable', startArgs(newName('no')), { env });
    expect(message).toContain('/nonexistent');
    // On TCP, too, there is nothing to read but this.
    const tcp = await snapvol(['recover'], { env: { DOCKER_HOST: 'tcp://127.0.0.1:1' } });
    expect(tcp.stderr).toMatch(
      /^error: no container engine answers at tcp:\/\/127\.0\.0\.1:1, given by DOCKER_HOST .*\nStart one .*\n$/,
    );
    // What needs no engine does without.
    expect((await snapvol(['list'], { env })).exitCode).toBe(0);
    const file = join(await scratch.folder('file'), 'file');
    await writeFile(file, '');
    await failure('store-unavailable', ['list', '--store', `file:${file}`]);
  });
});

test('needs nothing to tell what it is', async () => {
  const env = { DOCKER_HOST: 'unix:///nonexistent', HOME: '/nonexistent' };
  expect(await snapvol(['--version'], { env })).toEqual({
    exitCode: 0,
    stdout: `${version}\n`,
    stderr: '',
  });
  for (const args of [[], ['--help'], ['start', '--help'], ['help', 'start']]) {
    const { exitCode, stdout, stderr } = await snapvol(args, { env });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('snapvol start');
  }
});

test('keeps snapshots in the data folder of the user where nothing else is said', async () => {
  const data = await scratch.folder('data');
  await mkdir(join(data, 'snapvol'));
  const { stdout } = await snapvol(['rm', 'x', '--json'], {
    env: { SNAPVOL_STORE: '', XDG_DATA_HOME: data },
  });
  expect(stdout).toContain(`file:${data}/snapvol`);
});
