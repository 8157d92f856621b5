import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { RawInputs } from '../../../src/settings.ts';
import type { KeyParts } from '../../../src/snapshot/key.ts';
import { makePlan } from '../../../src/usecases/plan.ts';
import { makeImage } from '../../support/image-facts.ts';
import { makeSettings } from '../../support/settings.ts';

let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'plan-'));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

test('arguments and variables that may be secrets are in the key, but nowhere to be read', async () => {
  const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
  const who = { owner, provenance: {}, cwd, untrusted: undefined };
  const partsOf = async (raw: RawInputs): Promise<KeyParts> =>
    (await makePlan(makeSettings(raw), makeImage(), who)).keyParts;
  const raw = { args: '-c ssl_passphrase_command=hunter2', env: 'API_TOKEN=hunter2' };
  const parts = await partsOf(raw);
  expect(JSON.stringify(parts)).not.toContain('hunter2');
  // sha256sum of hunter2
  expect(JSON.stringify(parts)).not.toContain('f52fbd32b2b3b86f');
  expect(parts).not.toEqual(await partsOf({ ...raw, env: 'API_TOKEN=hunter3' }));
  expect(parts).not.toEqual(await partsOf({ ...raw, args: '-c ssl_passphrase_command=hunter3' }));
  expect(await partsOf({ args: '-c "a b"' })).not.toEqual(await partsOf({ args: '-c a b' }));
  expect(await partsOf({ trim: 'false' })).toContainEqual({ name: 'trim', value: 'false' });
  expect(await partsOf({ args: '-c jit=off' })).toContainEqual({
    name: 'args',
    value: '["-c","jit=off"]',
  });
});

test('arguments of ours come before the first option of the user', async () => {
  const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
  const who = { owner, provenance: {}, cwd, untrusted: undefined };
  const argsOf = async (args: string): Promise<readonly string[]> => {
    const settings = makeSettings({ image: 'redis:8', args });
    return (await makePlan(settings, makeImage(), who)).args;
  };
  const ours = ['--save', '', '--appendfsync', 'no'];
  expect(await argsOf('--appendonly yes')).toEqual([...ours, '--appendonly', 'yes']);
  expect(await argsOf('redis-server /etc/redis.conf --appendonly yes')).toEqual([
    ...['redis-server', '/etc/redis.conf', ...ours, '--appendonly', 'yes'],
  ]);
  expect(await argsOf('/etc/redis.conf')).toEqual(['/etc/redis.conf', ...ours]);
});

const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
const planOf = (raw: RawInputs) =>
  makePlan(makeSettings(raw), makeImage(), { owner, provenance: {}, cwd, untrusted: undefined });

test('files for the container keep their modes, in folders, too, and enter the key with their places', async () => {
  mkdirSync(join(cwd, 'certs/ca'), { recursive: true });
  writeFileSync(join(cwd, 'certs/server.key'), 'key', { mode: 0o600 });
  writeFileSync(join(cwd, 'certs/ca/root.crt'), 'crt');
  writeFileSync(join(cwd, 'my.conf'), 'work_mem = 1MB');
  chmodSync(join(cwd, 'my.conf'), 0o666);
  const input = 'certs:/certs:999\nmy.conf:/etc/postgres/\nmy.conf:/other.conf';
  const { files, key } = await planOf({ files: input });
  expect(
    files.map(({ path, mode, owner, group }) => [path, mode.toString(8), owner, group]),
  ).toEqual([
    ['/certs/ca/root.crt', '644', 999, 999],
    ['/certs/server.key', '600', 999, 999],
    ['/etc/postgres/my.conf', '644', 0, 0],
    ['/other.conf', '644', 0, 0],
  ]);
  const places = (await planOf({ files: input.replace('/other', '/another') })).key;
  writeFileSync(join(cwd, 'my.conf'), 'work_mem = 2MB');
  const contents = (await planOf({ files: input })).key;
  expect(new Set([key, places, contents, (await planOf({})).key]).size).toBe(4);
});

test.each<[RawInputs, RegExp]>([
  [
    { files: 'my.conf:/var/lib/postgresql/data/' },
    /^files: \/var\/lib\/postgresql\/data\/my\.conf lies in .*where the volume data is mounted$/,
  ],
  [{ files: 'my.conf:/extra/x', 'volumes-extra': 'more:/extra' }, /volume more is mounted$/],
  [{ files: 'my.conf:/run/x/', options: '--tmpfs /run' }, /lies in \/run, a tmpfs/],
  [{ files: 'my.conf:/a\nmy.conf:/b/../a' }, /^files: two are to be \/a in the container$/],
  [{ files: '*.conf:/a' }, /^files: \*\.conf is neither a file nor a folder$/],
  [{ files: 'nothing:/a' }, /^files: no file matches "nothing"/],
  [
    { options: '--tmpfs /var/lib' },
    /^options: --tmpfs \/var\/lib and \/var\/lib\/postgresql\/data overlap$/,
  ],
  [{ options: '--tmpfs /var/lib/postgresql/data/pg_wal' }, /overlap$/],
  [{ options: '--tmpfs /', init: 'my.conf' }, /overlap$/],
  [{ options: '--tmpfs /docker-entrypoint-initdb.d', init: 'my.conf' }, /overlap$/],
])('%j would hide or change what the database needs', async (raw, message) => {
  writeFileSync(join(cwd, 'my.conf'), '');
  await expect(planOf(raw)).rejects.toMatchObject({
    code: 'invalid-settings',
    message: expect.stringMatching(message),
  });
});

test('the folder of the scripts has to be there, and enters the key, however it is written', async () => {
  mkdirSync(join(cwd, 'api'));
  const keyOf = async (folder: string): Promise<string> =>
    (await planOf({ 'working-directory': folder })).key;
  expect(await keyOf('./api/')).toBe(await keyOf('api'));
  expect(await keyOf('api')).not.toBe(await keyOf('.'));
  expect(await keyOf('./')).toBe((await planOf({})).key);
  await expect(keyOf('web')).rejects.toMatchObject({
    code: 'invalid-settings',
    message: `working-directory: there is no folder web in ${cwd}`,
  });
});

test('init files of one name are refused: the second would replace the first', async () => {
  for (const folder of ['a', 'b']) {
    mkdirSync(join(cwd, folder));
    writeFileSync(join(cwd, folder, 'schema.sql'), folder);
  }
  const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
  const who = { owner, provenance: {}, cwd, untrusted: undefined };
  const settings = makeSettings({ init: 'a/schema.sql\nb/schema.sql' });
  await expect(makePlan(settings, makeImage(), who)).rejects.toMatchObject({
    code: 'invalid-settings',
    message: 'init: a/schema.sql and b/schema.sql have the same name',
  });
});
