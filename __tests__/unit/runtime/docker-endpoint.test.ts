import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { findEndpoint } from '../../../src/runtime/docker-endpoint.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'snapvol-home-'));
});
afterEach(() => {
  rmSync(home, { recursive: true });
});

function write(path: string, content: unknown): void {
  const file = join(home, '.docker', path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
}

const idOf = (name: string): string => createHash('sha256').update(name).digest('hex');

/** As `docker context create` writes it. */
function context(name: string, endpoint: object, tls: readonly string[] = []): void {
  const meta = { Name: name, Metadata: {}, Endpoints: { docker: endpoint } };
  write(`contexts/meta/${idOf(name)}/meta.json`, meta);
  for (const file of tls) write(`contexts/tls/${idOf(name)}/docker/${file}`, file);
}

const find = (env: Readonly<Record<string, string>> = {}) => findEndpoint({ HOME: home, ...env });
const socket = 'unix:///var/run/docker.sock';

describe('the engine is found', () => {
  test('at the socket of this machine', () => {
    expect(find({ DOCKER_HOST: '', DOCKER_CONTEXT: '' })).toEqual({
      where: `${socket}, the default`,
      ...{ remoteHost: undefined, secure: false, pathPrefix: '' },
      connection: { socketPath: '/var/run/docker.sock' },
    });
  });

  test('by DOCKER_HOST before DOCKER_CONTEXT before the current context', () => {
    context('one', { Host: 'unix:///one.sock' });
    context('two', { Host: 'unix:///two.sock' });
    write('config.json', { currentContext: 'one' });
    const both = { DOCKER_HOST: 'unix:///host.sock', DOCKER_CONTEXT: 'two' };
    expect(find(both).where).toBe('unix:///host.sock, given by DOCKER_HOST');
    expect(find({ DOCKER_CONTEXT: 'two' }).where).toBe('unix:///two.sock, of the context two');
    expect(find().where).toBe('unix:///one.sock, of the context one');
    expect(find({ DOCKER_CONTEXT: 'default' }).where).toBe(`${socket}, the default`);
  });

  test('in the folder of DOCKER_CONFIG', () => {
    write('config.json', { currentContext: 'none' });
    expect(find({ DOCKER_CONFIG: join(home, 'elsewhere') }).where).toBe(`${socket}, the default`);
  });

  test.each([
    ['tcp://docker:2375', 'docker', { hostname: 'docker', port: '2375' }],
    ['docker:1234', 'docker', { hostname: 'docker', port: '1234' }],
    ['tcp://docker', 'docker', { hostname: 'docker', port: '2375' }],
    ['tcp://:99', 'localhost', { hostname: 'localhost', port: '99' }],
    ['tcp://[::1]:2375', '[::1]', { hostname: '::1', port: '2375' }],
    ['unix://', undefined, { socketPath: '/var/run/docker.sock' }],
    ['/run/x.sock', undefined, { socketPath: '/run/x.sock' }],
    ['npipe:////./pipe/docker', undefined, { socketPath: '//./pipe/docker' }],
  ])('at %s', (DOCKER_HOST, remoteHost, connection) => {
    expect(find({ DOCKER_HOST })).toMatchObject({ remoteHost, secure: false, pathPrefix: '' });
    expect(find({ DOCKER_HOST }).connection).toEqual(connection);
  });

  test('below a path', () => {
    expect(find({ DOCKER_HOST: 'tcp://docker:1/a/b/' }).pathPrefix).toBe('/a/b');
  });

  test('with the TLS files of the user, or of DOCKER_CERT_PATH', () => {
    const env = { DOCKER_HOST: 'tcp://docker:2376', DOCKER_TLS_VERIFY: '1' };
    write('ca.pem', 'ca');
    write('other/ca.pem', 'other ca');
    write('other/cert.pem', 'cert');
    write('other/key.pem', 'key');
    const at = { hostname: 'docker', port: '2376' };
    expect(find(env)).toMatchObject({
      secure: true,
      connection: { ...at, ca: Buffer.from('ca'), cert: undefined, rejectUnauthorized: true },
    });
    const DOCKER_CERT_PATH = join(home, '.docker/other');
    const files = {
      ca: Buffer.from('other ca'),
      cert: Buffer.from('cert'),
      key: Buffer.from('key'),
    };
    expect(find({ ...env, DOCKER_CERT_PATH }).connection).toEqual({
      ...at,
      ...files,
      rejectUnauthorized: true,
    });
    // Without verification there are TLS files, too.
    const { DOCKER_HOST } = env;
    expect(find({ DOCKER_HOST, DOCKER_TLS: '1', DOCKER_CERT_PATH }).connection).toMatchObject({
      rejectUnauthorized: false,
    });
    // A path alone turns nothing on.
    expect(find({ DOCKER_HOST, DOCKER_CERT_PATH: '/nonexistent' })).toMatchObject({
      secure: false,
    });
    expect(find({ DOCKER_TLS_VERIFY: '1' }).where).toBe('tcp://localhost:2376, the default');
  });

  test('with the TLS files of a context, whatever the environment says of TLS', () => {
    context('plain', { Host: 'tcp://plain:1' });
    context('tls', { Host: 'tcp://tls:1' }, ['ca.pem', 'cert.pem', 'key.pem']);
    context('unsure', { Host: 'tcp://unsure:1', SkipTLSVerify: true });
    const DOCKER_TLS_VERIFY = '1';
    const secure = (name: string) => find({ DOCKER_CONTEXT: name, DOCKER_TLS_VERIFY });
    expect(secure('plain')).toMatchObject({ secure: false });
    expect(secure('tls')).toMatchObject({
      secure: true,
      connection: { ca: Buffer.from('ca.pem'), rejectUnauthorized: true },
    });
    expect(secure('unsure')).toMatchObject({
      secure: true,
      connection: { ca: undefined, rejectUnauthorized: false },
    });
  });
});

describe('no engine is found', () => {
  const failing = (env: Readonly<Record<string, string>>, error: object): void => {
    expect(() => find(env)).toThrow(expect.objectContaining(error));
  };

  test('in a context that is not there: the hint lists those that are', () => {
    context('colima', { Host: 'unix:///c.sock' });
    context('a remote one', { Host: 'tcp://r:1' });
    const error = { code: 'docker-unreachable', message: 'there is no context colma' };
    failing(
      { DOCKER_CONTEXT: 'colma' },
      { ...error, hint: 'DOCKER_CONTEXT names it. There are: default, a remote one, colima' },
    );
    write('config.json', { currentContext: 'colma' });
    const file = join(home, '.docker/config.json');
    failing(
      {},
      {
        ...error,
        hint: `"docker context use" has chosen it in ${file}. There are: default, a remote one, colima`,
      },
    );
  });

  test.each([
    ['ssh://host', 'ssh:// is not supported'],
    ['tcp://no port:x', '"tcp://no port:x" is no address'],
  ])('at %s, and it is told who says so', (Host, problem) => {
    context('far', { Host });
    const hint = expect.stringContaining('unix://');
    const code = 'docker-unreachable';
    failing(
      { DOCKER_HOST: Host },
      { code, message: `DOCKER_HOST cannot be used: ${problem}`, hint },
    );
    failing(
      { DOCKER_CONTEXT: 'far' },
      { code, message: `the context far cannot be used: ${problem}`, hint },
    );
  });

  test('without the certificate to know it by', () => {
    failing(
      { DOCKER_HOST: 'tcp://docker:2376', DOCKER_TLS_VERIFY: '1' },
      {
        code: 'docker-unreachable',
        message: `there is no ${join(home, '.docker/ca.pem')} to know the container engine by`,
        hint: expect.stringContaining('DOCKER_TLS_VERIFY is set'),
      },
    );
  });

  test('by a file that is broken: without a word another one would be used', () => {
    write('config.json', '{"currentContext":');
    const file = join(home, '.docker/config.json');
    failing({}, { code: 'invalid-settings', message: `${file} cannot be read: it is no JSON` });
    // Where nothing of it is needed, it may be.
    expect(find({ DOCKER_HOST: socket }).where).toContain(socket);
    write('config.json', '');
    expect(find().where).toContain(socket);
  });
});
