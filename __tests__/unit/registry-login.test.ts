import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createLoginFinder } from '../../src/registry-login.ts';
import { createRecordingLog, type RecordingLog } from '../support/recording-log.ts';

let dir: string;
let log: RecordingLog;
let masked: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'snapvol-login-'));
  mkdirSync(join(dir, 'bin'));
  masked = [];
  log = { ...createRecordingLog(), mask: (secret) => void masked.push(secret) };
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const file = (): string => join(dir, 'config.json');
const basic = (text: string): string => Buffer.from(text).toString('base64');

function finder(config: unknown, env: Readonly<Record<string, string>> = {}, helperMs?: number) {
  if (config !== undefined)
    writeFileSync(file(), typeof config === 'string' ? config : JSON.stringify(config));
  const around = { DOCKER_CONFIG: dir, PATH: `${join(dir, 'bin')}:${process.env['PATH']}`, ...env };
  return createLoginFinder({ env: around, log, ...(helperMs !== undefined && { helperMs }) });
}

/** A helper that notes what it was asked. */
function helper(name: string, script: string): void {
  const program = join(dir, 'bin', `docker-credential-${name}`);
  writeFileSync(program, `#!/bin/sh\necho "$1 $(cat)" >>"${dir}/asked"\n${script}\n`);
  chmodSync(program, 0o755);
}
const answering = (fields: object): string => `echo '${JSON.stringify(fields)}'`;
const asked = (): string => readFileSync(join(dir, 'asked'), 'utf8');

const alice = { username: 'alice', password: 'se:cret' };

describe('a login in config.json', () => {
  test.each([
    ['name and password', { auth: basic('alice:se:cret') }, alice],
    ['with what older clients have padded', { auth: basic('alice:se:cret\0\0') }, alice],
    ['in two fields', alice, alice],
    ['a token', { auth: basic('000:'), identitytoken: 'tok' }, { identityToken: 'tok' }],
  ])('%s: is found, and masked', async (_, entry, login) => {
    expect(await finder({ auths: { 'ghcr.io': entry } })('ghcr.io')).toEqual(login);
    expect(masked).toEqual(['identityToken' in login ? 'tok' : 'se:cret']);
    expect(log.lines).toEqual([]);
  });

  test.each([
    ['registry.example', 'registry.example'],
    ['https://registry.example', 'registry.example'],
    ['https://registry.example/v1/', 'registry.example'],
    ['http://registry.example:5000/v1/', 'registry.example:5000'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['https://index.docker.io/v1/', 'registry-1.docker.io'],
  ])('under the name %s is that of %s', async (name, registry) => {
    const auths = { 'other.example': { auth: basic('bob:x') }, [name]: { auth: basic('alice:y') } };
    expect(await finder({ auths })(registry)).toEqual({ username: 'alice', password: 'y' });
  });

  test('is for its registry alone', async () => {
    const find = finder({ auths: { 'registry.example': { auth: basic('alice:y') } } });
    for (const other of ['registry.example:5000', 'example', 'docker.io'])
      expect(await find(other)).toBeUndefined();
  });

  test('need not be there', async () => {
    expect(await finder(undefined)('docker.io')).toBeUndefined();
    expect(await finder({})('docker.io')).toBeUndefined();
    expect(await finder({ auths: { 'ghcr.io': {} } })('ghcr.io')).toBeUndefined();
    expect(log.lines).toEqual([]);
  });

  test('that is none is a warning, once, and shows nothing of it', async () => {
    const find = finder({ auths: { 'ghcr.io': { auth: basic('secret') } } });
    expect(await find('ghcr.io')).toBeUndefined();
    expect(await find('ghcr.io')).toBeUndefined();
    expect(log.lines).toEqual([
      `warn: the login for ghcr.io in ${file()} cannot be used: "auth" is not NAME:PASSWORD in base64; going on without a login from it`,
    ]);
  });

  test('of a file that is broken is an error that names it', async () => {
    await expect(finder('{"auths": {"secret"')('ghcr.io')).rejects.toMatchObject({
      code: 'invalid-settings',
      message: `${file()} cannot be read: it is no JSON`,
    });
  });
});

describe('DOCKER_AUTH_CONFIG', () => {
  const config = {
    auths: { 'ghcr.io': { auth: basic('alice:file') }, b: { auth: basic('bob:file') } },
  };
  const auths = { 'https://ghcr.io': { auth: basic('alice:environment') } };

  test('comes before the file and its helpers, and leaves to them what it has not', async () => {
    const find = finder(config, { DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) });
    expect(await find('ghcr.io')).toEqual({ username: 'alice', password: 'environment' });
    expect(await find('b')).toEqual({ username: 'bob', password: 'file' });
  });

  test('that is broken is a warning', async () => {
    const find = finder(config, { DOCKER_AUTH_CONFIG: 'secret' });
    expect(await find('b')).toEqual({ username: 'bob', password: 'file' });
    expect(log.lines).toEqual([
      'warn: DOCKER_AUTH_CONFIG cannot be used: it is no JSON; going on without a login from it',
    ]);
  });
});

describe('a helper', () => {
  const key = { ServerURL: 'x', Username: 'alice', Secret: 'se:cret' };

  test('of the registry comes before the one for all, and both before the file', async () => {
    helper('one', answering({ ...key, Username: '<token>', Secret: 'tok' }));
    helper('all', answering(key));
    const find = finder({
      credHelpers: { 'ghcr.io': 'one' },
      credsStore: 'all',
      auths: { 'ghcr.io': { auth: basic('bob:file') }, 'docker.io': { auth: basic('bob:file') } },
    });
    expect(await find('ghcr.io')).toEqual({ identityToken: 'tok' });
    expect(await find('docker.io')).toEqual(alice);
    expect(masked).toEqual(['tok', 'se:cret']);
    expect(asked()).toBe('get ghcr.io\nget https://index.docker.io/v1/\n');
  });

  test.each(['https://index.docker.io/v1/', 'docker.io'])(
    'for Docker Hub may be named by %s',
    async (name) => {
      helper('one', answering(key));
      expect(await finder({ credHelpers: { [name]: 'one' } })('docker.io')).toEqual(alice);
    },
  );

  test('may know nothing of the registry', async () => {
    helper('one', "echo 'credentials not found in native keychain'; exit 1");
    expect(await finder({ credsStore: 'one' })('ghcr.io')).toBeUndefined();
    expect(log.lines).toEqual([]);
  });

  test.each([
    ['is missing', undefined, 'there is no such program on PATH'],
    ['fails', 'echo locked; exit 1', 'locked'],
    ['fails without a word for us', 'echo "no bus" >&2; exit 2', 'no bus'],
    ['says something else', "echo 'secret'", 'it is no JSON'],
    ['hangs', 'exec sleep 60', 'it has not answered within 0.3 s'],
  ])('that %s is a warning, once', async (_, script, problem) => {
    if (script !== undefined) helper('one', script);
    const find = finder({ credsStore: 'one' }, {}, script?.includes('sleep') ? 300 : undefined);
    expect(await find('ghcr.io')).toBeUndefined();
    expect(await find('ghcr.io')).toBeUndefined();
    expect(log.lines).toEqual([
      `warn: docker-credential-one does not tell the login for ghcr.io: ${problem}; going on without a login from it`,
    ]);
  });

  test('that does not read its question is known by its answer', async () => {
    const program = join(dir, 'bin/docker-credential-deaf');
    writeFileSync(program, `#!/bin/sh\nexec <&-\n${answering(key)}\n`, { mode: 0o755 });
    expect(await finder({ credsStore: 'deaf' })('ghcr.io')).toEqual(alice);
  });

  test('is ended with what asked it', async () => {
    helper('one', 'exec sleep 60');
    const find = finder({ credsStore: 'one' });
    await expect(find('ghcr.io', AbortSignal.timeout(200))).rejects.toMatchObject({
      name: 'TimeoutError',
    });
    expect(log.lines).toEqual([]);
  });
});
