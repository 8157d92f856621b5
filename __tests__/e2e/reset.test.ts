import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

import { beforeAll, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { thisProcess } from '../../src/process-identity.ts';
import type { VolumesManifest } from '../../src/snapshot/manifest.ts';
import { runCli, useNames } from '../support/cli.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { checksum, isCleanStart, query, seedScript } from '../support/postgres.ts';
import { useScratch } from '../support/store-bundles.ts';

const image = testImage('postgres:17');
/** For a database with a second volume, too. */
const seed = `${seedScript}
docker exec "$SNAPVOL_CONTAINER" sh -c 'if [ -d /files ]; then echo a picture >/files/picture; fi'`;
const newName = useNames('reset');
const scratch = useScratch();

interface Started {
  readonly name: string;
  readonly container: string;
  readonly volume: string;
  readonly port: number;
  readonly outcome: string;
  readonly url: string;
  readonly clones: readonly Pick<Started, 'name' | 'container'>[];
}

async function start(name: string, ...more: string[]): Promise<Started> {
  const args = ['start', name, '--image', image, '--port', '0', '--seed', seed, '--json'];
  const { exitCode, stdout, stderr } = await runCli([...args, ...more]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) });
  return JSON.parse(stdout) as Started; // of our own tool
}

async function reset(name: string): Promise<void> {
  const { exitCode, stderr } = await runCli(['reset', name]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.any(String) });
}

/** Rows, tables, and a column. */
const mess = `insert into item select n, 'more' from generate_series(20001, 50000) n; delete from item where id < 100;
create table other as select 1 as id; alter table item add column extra int default 7;`;

const state = async (container: string): Promise<readonly string[]> => [
  await checksum(container),
  await query(container, "select string_agg(relname, ',' order by 1) from pg_stat_user_tables"),
  await query(
    container,
    "select count(*) from information_schema.columns where table_name = 'item'",
  ),
];

const containersOf = (name: string): Promise<string> =>
  docker('ps', '--all', '--quiet', '--filter', `label=dev.snapvol.name=${name}`);

/** In each of the volumes. */
async function makeMess(container: string): Promise<void> {
  await query(container, mess);
  const rest = 'rm /files/picture; echo more >/files/more; chmod 0700 /files';
  await docker('exec', container, 'sh', '-ec', rest);
}

const files = `stat --format '%n %A %U %y' /files /files/*; cat /files/*`;
const stateOfBoth = async (container: string): Promise<readonly string[]> => [
  ...(await state(container)),
  await docker('exec', container, 'sh', '-ec', files),
];

describe.each(['overlay', 'copy'])('reset by %s', (how) => {
  let store: string;
  beforeAll(async () => {
    store = `file:${await scratch.folder('store')}`;
  });

  test.each(['miss', 'hit'])('puts all volumes back, after a %s', async (outcome) => {
    const name = newName();
    const more = ['--volumes-extra', 'files:/files', '--clones', outcome === 'hit' ? '1' : '0'];
    const started = await start(name, '--store', store, '--reset', how, ...more);
    const { container, port } = started;
    expect(started.outcome).toBe(outcome);
    const pristine = await stateOfBoth(container);
    expect(pristine.at(-1)).toContain('a picture');
    const [last = started] = started.clones;
    for (const each of [started, last]) {
      expect(await stateOfBoth(each.container)).toEqual(pristine);
      await makeMess(each.container);
      const messed = await stateOfBoth(each.container);
      expect(pristine.filter((part, i) => part === messed[i])).toEqual([]);
      if (each === last) await docker('kill', each.container);
      await reset(each.name);
      expect(await stateOfBoth(each.container)).toEqual(pristine);
    }
    expect(await docker('port', container)).toBe(`5432/tcp -> 127.0.0.1:${port}`);
    expect(await isCleanStart(container)).toBe(true);
    await runCli(['stop', name]);
  });
});

test('cuts off who is connected, and does not wait for them', async () => {
  const name = newName();
  const settings = ['--save', 'false', '--store', `file:/nowhere/${randomUUID()}`];
  const { container, url } = await start(name, ...settings);
  // From outside of the container, which takes with it all that runs inside.
  const sleep = `do $$ begin raise notice 'connected'; perform pg_sleep(600); end $$`;
  const psql = ['psql', '--no-psqlrc', url, '--command', sleep];
  const session = spawn('docker', ['run', '--rm', '--network', 'host', image, ...psql]);
  const closed = once(session, 'close');
  const complaint = text(session.stderr);
  await once(session.stderr, 'data');
  const sleeping = `select count(*) from pg_stat_activity where query = $q$${sleep}$q$`;
  expect(await query(container, `${sleeping} and state = 'active'`)).toBe('1');
  const resetMs = performance.now();
  await reset(name);
  expect(performance.now() - resetMs).toBeLessThan(60_000);
  const [exitCode] = (await closed) as [number | null];
  expect(exitCode).toBe(2);
  expect(await complaint).toMatch(/connected[^]*closed the connection unexpectedly/);
  expect(await query(container, 'select count(*) from item')).toBe('20000');
});

test('is not done while the database is saved, nor the other way round, whether it runs or not', async () => {
  const store = `file:${await scratch.folder('store')}`;
  const name = newName();
  const { container } = await start(name, '--save', 'false', '--store', store);
  const run = await docker(
    ...['inspect', '--format', '{{index .Config.Labels "dev.snapvol.run"}}', container],
  );
  const maker = `maker=${thisProcess()}`;
  const labels = ['purpose=resetting', maker, 'scope=cli', `name=${name}`, `run=${run}`];
  const note = `snapvol-suspended-${container.slice(0, 12)}`;
  const label = labels.flatMap((each) => ['--label', `dev.snapvol.${each}`]);
  await docker('volume', 'create', ...label, note);
  const refused = {
    exitCode: exitCodes['name-taken'],
    stderr: expect.stringContaining('is being saved or reset by another process'),
  };
  await query(container, mess);
  const before = await state(container);
  expect(await runCli(['reset', name])).toMatchObject(refused);
  for (const how of ['stop', 'none']) {
    const save = ['save', name, '--store', store, '--quiesce', how];
    expect(await runCli(save)).toMatchObject(refused);
  }
  expect(await state(container)).toEqual(before);
  await docker('kill', container);
  for (const what of [[name], ['--container', container]]) {
    expect(await runCli(['save', ...what, '--store', store])).toMatchObject(refused);
  }
  expect(await runCli(['list', '--store', store])).toMatchObject({ stdout: '0 snapshots, 0 B\n' });

  await docker('volume', 'rm', note);
  // One that was killed is repeated by the next command, unless another one is at that already.
  const dead = ['--label', `dev.snapvol.maker=${thisProcess().replace(/\d+$/, '0')}`];
  await docker('volume', 'create', ...label, ...dead, note);
  await docker('volume', 'create', ...label, `${note}-again`);
  await docker('start', container);
  expect(await runCli(['recover'])).toMatchObject({ exitCode: 0, stdout: 'nothing to repair\n' });
  await docker('volume', 'rm', `${note}-again`);
  await docker('volume', 'create', ...label, ...dead, `${note}-again`);
  const repaired = { stdout: `repaired: reset the database ${name}, which had been cut off\n` };
  expect(await runCli(['recover'])).toMatchObject(repaired);
  expect(await docker('volume', 'ls', '--quiet', '--filter', `name=${note}`)).toBe('');
  expect(await query(container, 'select count(*) from item')).toBe('20000');
});

test('a volume that overlays another one is saved as one of its own', async () => {
  const store = `file:${await scratch.folder('store')}`;
  const { volume } = await start(newName(), '--save', 'false', '--store', store);
  const place = ['--store', store];
  const saved = ['save', '--volumes', volume, '--key', 'alone', ...place];
  expect(await runCli(saved)).toMatchObject({ exitCode: 0 });
  const { stdout } = await runCli(['inspect', 'alone', '--json', ...place]);
  // A cast: of our own tool.
  const { manifest } = JSON.parse(stdout) as { readonly manifest: VolumesManifest };
  expect(manifest.volumes.map(({ origin }) => origin)).toEqual([
    { type: 'volume', volume, driver: 'local', options: {}, labels: {} },
  ]);

  const golden = volume.replace(/-live$/, '');
  const over = ['restore', 'alone', '--volume', golden, '--overwrite', ...place];
  expect(await runCli(over)).toMatchObject({
    exitCode: exitCodes['volume-taken'],
    stderr: expect.stringMatching(/is what the database .* was made of/),
  });
});

test('is refused while another container has the data; clones of a clone go with the first one', async () => {
  const name = newName();
  const settings = ['--save', 'false', '--store', 'file:/nowhere', '--clones', '1'];
  const { container, clones } = await start(name, ...settings);
  expect(await runCli(['clone', `${name}-1`, '--count', '1'])).toMatchObject({ exitCode: 0 });
  expect(await containersOf(`${name}-1-1`)).not.toBe('');

  await query(container, mess);
  const before = await state(container);
  const beside = ['--volumes-from', container, '--entrypoint', 'sleep', image, 'infinity'];
  const other = await docker('run', '--detach', '--rm', ...beside);
  expect(await runCli(['reset', name])).toMatchObject({
    exitCode: exitCodes['volume-taken'],
    stderr: expect.stringContaining(`uses the data of ${name}`),
  });
  expect(await state(container)).toEqual(before);
  await docker('rm', '--force', other);
  await reset(name);

  expect(await runCli(['stop', name])).toMatchObject({ exitCode: 0 });
  for (const each of [name, ...clones.map((clone) => clone.name), `${name}-1-1`]) {
    expect(await containersOf(each)).toBe('');
  }
});

test.each([
  ['off', 'kept'],
  ['copy', 'left'],
])('is refused with %s where nothing is %s, and leaves the database alone', async (how) => {
  const name = newName();
  const settings = ['--save', 'false', '--reset', how, '--store', 'file:/nowhere'];
  const { container, volume } = await start(name, ...settings);
  const golden = volume.replace(/-live$/, '');
  if (how === 'copy') {
    await docker('volume', 'rm', golden);
    // The engine makes one of this name anew, empty, for whoever mounts it.
    await docker('volume', 'create', golden);
  }
  await query(container, mess);
  const before = await state(container);
  const { exitCode, stderr } = await runCli(['reset', name]);
  expect({ exitCode, stderr }).toEqual({
    exitCode: exitCodes['invalid-settings'],
    stderr: expect.stringMatching(/nothing is kept that .* could be put back to/),
  });
  expect(await state(container)).toEqual(before);
  expect(await runCli(['reset', newName()])).toMatchObject({
    exitCode: exitCodes['container-missing'],
  });
  await runCli(['stop', name]);
  if (how === 'copy') await docker('volume', 'rm', golden);
});
