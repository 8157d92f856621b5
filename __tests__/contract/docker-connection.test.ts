import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';

import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../src/clock.ts';
import type { EngineLimits } from '../../src/runtime/docker-deadlines.ts';
import type { ContainerRuntime } from '../../src/runtime/runtime.ts';
import { connectEngine } from '../support/connect-engine.ts';
import { startFakeEngine, startSecureEngine } from '../support/fake-engine.ts';
import { paxEntry, tarContent, tarEnd, tarHeader } from '../support/tar-bytes.ts';
import { listTar } from '../support/tar-list.ts';

const run = promisify(execFile);
const { signal } = new AbortController();

/** With no login, wherever the tests run. */
const emptyConfig = mkdtempSync(join(tmpdir(), 'snapvol-docker-'));
afterAll(() => {
  rmSync(emptyConfig, { recursive: true });
});

function connectTo(host: string, limits?: EngineLimits): ContainerRuntime {
  return connectEngine({ DOCKER_HOST: host, DOCKER_CONFIG: emptyConfig }, limits);
}

/** The engine tells its settings, before the first archive. */
const isInfo = ({ url = '' }: IncomingMessage): boolean => url.endsWith('/info');

/** Short, and all different: a message tells which one it was. */
const short: EngineLimits = { versionMs: 200, questionMs: 300, changeMs: 400, silenceMs: 500 };

describe('an engine that cannot be reached', () => {
  test('because there is no socket', async () => {
    const runtime = connectTo('unix:///nonexistent/docker.sock');
    const unreachable = {
      code: 'docker-unreachable',
      message:
        'no container engine answers at unix:///nonexistent/docker.sock, given by DOCKER_HOST (ENOENT)',
      hint: expect.stringContaining('DOCKER_HOST'),
    };
    await expect(runtime.info()).rejects.toMatchObject(unreachable);
    await expect(runtime.findVolume('x')).rejects.toMatchObject(unreachable);
    await expect(runtime.ensureImage('x')).rejects.toMatchObject(unreachable);
    await expect(runtime.removeContainer('x')).rejects.toMatchObject(unreachable);
  });

  test('because nobody listens at the address', async () => {
    await expect(connectTo('tcp://127.0.0.1:1').info()).rejects.toMatchObject({
      code: 'docker-unreachable',
      message:
        'no container engine answers at tcp://127.0.0.1:1, given by DOCKER_HOST (ECONNREFUSED)',
    });
  });

  test('because the socket is for others only', async () => {
    await using engine = await startFakeEngine((_request, response) => response.end('{}'));
    chmodSync(engine.path, 0);
    chmodSync(dirname(engine.path), 0o755);
    // Root may use any socket: it has to be nobody, in a process of its own.
    const root = process.getuid?.() === 0;
    const script = `
      const { connectDocker } = await import(process.argv[1]);
      const error = await connectDocker({ env: process.env }).info().catch((e) => e);
      console.log(JSON.stringify({ code: error.code, message: error.message, hint: error.hint }));`;
    const { stdout } = await run(
      process.execPath,
      ['--input-type=module', '--eval', script, import.meta.resolve('../../src/runtime/docker.ts')],
      { env: { DOCKER_HOST: engine.host }, cwd: '/', ...(root && { uid: 65534, gid: 65534 }) },
    );
    expect(JSON.parse(stdout)).toEqual({
      code: 'docker-unreachable',
      message: `permission denied on the container engine's socket ${engine.host}, given by DOCKER_HOST`,
      hint: expect.stringContaining('"docker" group'),
    });
  });

  test('because it takes the question and never answers', async () => {
    await using engine = await startFakeEngine(() => undefined);
    await expect(connectTo(engine.host, short).info()).rejects.toMatchObject({
      code: 'docker-unreachable',
      message: 'the container engine did not answer within 0.2 s',
      hint: expect.stringContaining('Restart it'),
    });
  });

  test('and is asked for evidence: it never decides', async () => {
    await using engine = await startFakeEngine(() => undefined);
    const limit = { ...short, questionMs: 50 };
    expect(await connectTo(engine.host, limit).logs('x', 1)).toEqual([
      'the container engine did not answer GET /containers/x/logs within 0.05 s',
    ]);
  });

  test.each(['<html>', '{}', 'null', '[]'])('because it is none: it answers %s', async (text) => {
    await using engine = await startFakeEngine((_request, response) => response.end(text));
    await expect(connectTo(engine.host).info()).rejects.toMatchObject({
      code: 'docker-unreachable',
      message: `what answers at ${engine.host}, given by DOCKER_HOST, is no container engine`,
    });
  });

  const calls: Readonly<Record<string, (runtime: ContainerRuntime) => Promise<unknown>>> = {
    'GET /volumes/x within 0.3 s': (runtime) => runtime.findVolume('x'),
    'GET /volumes within 0.3 s': (runtime) => runtime.listVolumes({}),
    'GET /containers/x/json within 0.3 s': (runtime) => runtime.inspectContainer('x', signal),
    'GET /containers/json within 0.3 s': (runtime) => runtime.listContainers({}),
    'GET /images/x:latest/json within 0.3 s': (runtime) => runtime.ensureImage('x', signal),
    'HEAD /containers/x/archive within 0.3 s': (runtime) => runtime.stat('x', '/y'),
    'GET /containers/x/archive within 0.3 s': (runtime) => runtime.getArchive('x', '/y'),
    'POST /containers/create within 0.4 s': (runtime) =>
      runtime.createContainer({ name: 'x', image: 'x', labels: {}, mounts: [] }),
    'POST /containers/x/start within 0.4 s': (runtime) => runtime.startContainer('x', signal),
    'POST /containers/x/stop within 1.4 s': (runtime) => runtime.stopContainer('x', 1000),
    'POST /containers/x/pause within 0.4 s': (runtime) => runtime.pauseContainer('x'),
    'POST /containers/x/exec within 0.4 s': (runtime) => runtime.exec('x', ['y'], {}),
    'DELETE /containers/x within 0.4 s': (runtime) => runtime.removeContainer('x'),
    'DELETE /volumes/x within 0.4 s': (runtime) => runtime.removeVolume('x'),
    'POST /images/create within 0.4 s': (runtime) => runtime.importEmptyImage('x:1', {}),
    'PUT /containers/x/archive within 0.4 s': (runtime) =>
      runtime.putArchive('x', '/', Readable.from([Buffer.alloc(10)])),
  };

  test.each(['nothing', 'half an answer'])('because it hangs, and says %s', async (what) => {
    await using engine = await startFakeEngine((request, response) => {
      request.resume();
      if (isInfo(request)) response.end('{}');
      if (isInfo(request) || what === 'nothing') return;
      response.writeHead(200, { 'content-length': '9' });
      response.write('{');
    });
    const runtime = connectTo(engine.host, short);
    const hanging = Object.entries(calls).filter(
      ([asked]) => what === 'nothing' || !/archive|images\/create/.test(asked),
    );
    const errors = await Promise.all(
      hanging.map(([, call]) => call(runtime).catch((error: unknown) => error)),
    );
    expect(errors).toEqual(
      hanging.map(([asked]) =>
        expect.objectContaining({
          code: 'docker-unreachable',
          message: `the container engine did not answer ${asked}`,
        }),
      ),
    );
  });

  test('because it hangs while a container is waited for, which may take long', async () => {
    let questions = 0;
    await using engine = await startFakeEngine((request, response) => {
      if (request.method === 'POST') {
        response.flushHeaders();
        return;
      }
      questions += 1;
      if (questions < 3) response.end('{}');
    });
    await expect(connectTo(engine.host, short).waitForExit('x')).rejects.toMatchObject({
      code: 'docker-unreachable',
      message: 'the container engine did not answer GET /containers/x/json within 0.3 s',
    });
    expect(questions).toBe(3);
  });

  test('but not because an upload is slow', async () => {
    await using engine = await startFakeEngine((request, response) => {
      request.resume().on('end', () => response.end());
    });
    const slowly = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; at < 6; at += 1) {
        await systemClock.sleep(100);
        yield Buffer.alloc(10);
      }
    };
    await connectTo(engine.host, short).putArchive('x', '/', Readable.from(slowly()));
  });

  test('because an archive stops in the middle', async () => {
    await using engine = await startFakeEngine((request, response) =>
      isInfo(request) ? response.end('{}') : response.write('half'),
    );
    const archive = await connectTo(engine.host, short).getArchive('x', '/y');
    await expect(archive?.toArray()).rejects.toMatchObject({
      code: 'copy-failed',
      message: 'nothing came of /y in the container x for 0.5 s',
    });
  });

  test('because it goes away while a container is waited for', async () => {
    await using engine = await startFakeEngine((_request, response) => {
      // As the engine does: the head of the answer at once, the exit code when there is one.
      response.flushHeaders();
      response.socket?.end();
    });
    await expect(connectTo(engine.host).waitForExit('x')).rejects.toMatchObject({
      code: 'docker-unreachable',
    });
  });
});

test('an engine behind TLS is known by its certificate, and knows us by ours', async () => {
  const { ca, cert, key } = await makeCertificates(emptyConfig);
  const paths: string[] = [];
  await using engine = await startSecureEngine(
    { ca, cert, key, requestCert: true, rejectUnauthorized: true },
    ({ url = '' }, response) => {
      paths.push(url);
      response.setHeader('content-type', 'application/json');
      response.end('{"Version":"1","ApiVersion":"1.41","Arch":"amd64"}');
    },
  );
  const known = { DOCKER_HOST: `${engine.host}/below`, DOCKER_TLS_VERIFY: '1' };
  const DOCKER_CONFIG = emptyConfig;
  expect(await connectEngine({ ...known, DOCKER_CONFIG }).info()).toMatchObject({
    version: '1',
    mayShareFolders: false,
    host: '127.0.0.1',
  });
  expect(paths).toEqual(['/below/version']);

  // The same files in a context, where an engine without a name is not trusted.
  const id = createHash('sha256').update('far').digest('hex');
  const contexts = join(emptyConfig, 'contexts');
  const tls = join(contexts, 'tls', id, 'docker');
  const point = (endpoint: object): void => {
    mkdirSync(join(contexts, 'meta', id), { recursive: true });
    const meta = { Name: 'far', Endpoints: { docker: { Host: engine.host, ...endpoint } } };
    writeFileSync(join(contexts, 'meta', id, 'meta.json'), JSON.stringify(meta));
  };
  mkdirSync(tls, { recursive: true });
  for (const file of ['cert.pem', 'key.pem']) cpSync(join(emptyConfig, file), join(tls, file));
  const far = (): ContainerRuntime => connectEngine({ DOCKER_CONTEXT: 'far', DOCKER_CONFIG });
  point({});
  await expect(far().info()).rejects.toMatchObject({
    code: 'docker-unreachable',
    message: `no container engine answers at ${engine.host}, of the context far (SELF_SIGNED_CERT_IN_CHAIN)`,
  });
  point({ SkipTLSVerify: true });
  expect(await far().info()).toMatchObject({ version: '1' });
  point({});
  cpSync(join(emptyConfig, 'ca.pem'), join(tls, 'ca.pem'));
  expect(await far().info()).toMatchObject({ version: '1' });

  // Without ours it refuses us.
  rmSync(join(tls, 'key.pem'));
  rmSync(join(tls, 'cert.pem'));
  await expect(far().info()).rejects.toMatchObject({ code: 'docker-unreachable' });
});

test('of an engine that looks for any of the labels and not for all, only what has all is taken', async () => {
  const wanted = { 'dev.snapvol.scope': 'cli', 'dev.snapvol.name': 'shop' };
  const [whole, partial] = [wanted, { ...wanted, 'dev.snapvol.name': 'other' }];
  const volumes = [whole, partial, null].map((Labels, at) => ({
    Name: `v${at}`,
    Labels,
    Driver: 'local',
  }));
  const images = [whole, partial, null].map((Labels, at) => ({ RepoTags: [`i${at}`], Labels }));
  const containers = [whole, partial].map((labels, at) => ({
    ...{ Id: `c${at}`, Name: `/c${at}`, Args: [], HostConfig: {}, Mounts: [], State: {} },
    ...{
      NetworkSettings: { Ports: {} },
      Config: { Labels: { ...labels, 'dev.snapvol.container': `c${at}` } },
    },
  }));
  const answers: readonly (readonly [RegExp, unknown])[] = [
    [/\/volumes/, { Volumes: volumes }],
    [/\/images\/json/, images],
    [/\/containers\/json/, containers],
    ...containers.map((each) => [new RegExp(`/containers/${each.Id}/json`), each] as const),
  ];
  await using engine = await startFakeEngine(({ url = '' }, response) => {
    const [, answer] = answers.find(([path]) => path.test(url)) ?? [];
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer ?? {}));
  });
  const runtime = connectTo(engine.host);
  expect((await runtime.listVolumes(wanted)).map(({ name }) => name)).toEqual(['v0']);
  expect((await runtime.listImages(wanted)).map(({ reference }) => reference)).toEqual(['i0']);
  expect((await runtime.listContainers(wanted)).map(({ id }) => id)).toEqual(['c0']);
});

describe('an engine whose containers have users of their own', () => {
  const large = { uid: '1000780000', gid: '4294967294' };
  const volume = Buffer.concat([
    ...[tarHeader({ name: './', type: '5', owners: [100_999, 200_998] }), paxEntry(large)],
    ...[tarHeader({ name: './large', size: 700 }), tarContent('x'.repeat(700))],
    ...[tarHeader({ name: './of the host', type: '5', owners: [1000, 1000] }), tarEnd],
  ]);
  const rootsFile = tarHeader({ name: '.dockerenv', owners: [100_000, 200_000] });
  const asked: string[] = [];

  const startRemapped = (roots: Buffer | undefined, securityOptions: readonly string[]) =>
    startFakeEngine((request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://engine');
      asked.push(searchParams.get('path') ?? pathname);
      if (isInfo(request)) response.end(JSON.stringify({ SecurityOptions: securityOptions }));
      else if (asked.at(-1) !== '/.dockerenv') response.end(volume);
      else if (roots) response.end(Buffer.concat([roots, tarEnd]));
      else response.writeHead(404).end('{"message":"there is none"}');
    });
  const ownersIn = async (runtime: ContainerRuntime): Promise<unknown> => {
    const tar = await runtime.getArchive('x', '/volume/.');
    const entries = await listTar(Buffer.concat((await tar?.toArray()) ?? []));
    return entries.map(({ name, owner, content }) => [name, owner, content.slice(0, 3)]);
  };
  const asTold = [
    ['./', '100999:200998', ''],
    ['./large', '0:0', '700'], // tar-stream reads no owners of pax
    ['./of the host', '1000:1000', ''],
  ];

  beforeEach(() => {
    asked.length = 0;
  });

  test('gives out archives with owners as containers see them', async () => {
    await using engine = await startRemapped(rootsFile, ['name=seccomp', 'name=userns']);
    const runtime = connectTo(engine.host);
    const seen = [
      ['./', '999:998', ''],
      ['./large', '1000680000:4294767294', '700'],
      ['./of the host', '65534:65534', ''],
    ];
    expect(await ownersIn(runtime)).toEqual(seen);
    expect(await ownersIn(runtime)).toEqual(seen);
    expect(asked).toEqual(['/info', '/.dockerenv', '/volume/.', '/volume/.']);
  });

  test('may give them out so itself', async () => {
    await using engine = await startRemapped(tarHeader({ name: '.dockerenv' }), ['name=userns']);
    expect(await ownersIn(connectTo(engine.host))).toEqual(asTold);
  });

  test('must tell which', async () => {
    await using engine = await startRemapped(undefined, ['name=userns']);
    await expect(ownersIn(connectTo(engine.host))).rejects.toMatchObject({
      code: 'copy-failed',
      message: expect.stringContaining('/.dockerenv'),
    });
  });

  test('is none where the engine itself runs as such a user', async () => {
    await using engine = await startRemapped(rootsFile, ['name=seccomp', 'name=rootless']);
    expect(await ownersIn(connectTo(engine.host))).toEqual(asTold);
    expect(asked).toEqual(['/info', '/volume/.']);
  });
});

describe('an image that is not there', () => {
  test('is not to be had from a registry that does not answer', async () => {
    let pulls = 0;
    // Nothing listens on port 1: no time is lost on a name that has to be looked up.
    const reference = '127.0.0.1:1/snapvol/nothing:1';
    await expect(
      connectEngine().ensureImage(reference, undefined, () => (pulls += 1)),
    ).rejects.toMatchObject({
      code: 'image-unavailable',
      message: expect.stringContaining(reference),
      hint: expect.stringContaining('docker login 127.0.0.1:1'),
    });
    expect(pulls).toBe(1);
  });

  /** An engine without images, whose pulls go as `pull` says. */
  const withoutImages = (pull: (response: ServerResponse) => void) =>
    startFakeEngine((request, response) => {
      if (request.url?.includes('/images/create')) {
        pull(response);
        return;
      }
      response.statusCode = 404;
      response.end(JSON.stringify({ message: 'no such image' }));
    });

  test.each([
    ['postgres:17', { username: 'hub', password: 'a/b+c?' }],
    ['team/app', { username: 'hub', password: 'a/b+c?' }],
    ['ghcr.io/team/app:1', { identitytoken: 'tok' }],
    ['localhost:5000/app', { username: 'here', password: '' }],
    ['localhost/app', undefined],
    ['quay.io/team/app@sha256:0', undefined],
  ])('is pulled with the login for its registry: %s', async (image, login) => {
    const auth = (text: string): object => ({ auth: Buffer.from(text).toString('base64') });
    const auths = {
      'https://index.docker.io/v1/': auth('hub:a/b+c?'),
      'ghcr.io': { identitytoken: 'tok' },
      'localhost:5000': auth('here:'),
    };
    const headers: unknown[] = [];
    await using engine = await startFakeEngine((request, response) => {
      if (request.url?.includes('/images/create')) headers.push(request.headers['x-registry-auth']);
      response.statusCode = 404;
      response.end('{}');
    });
    const env = { DOCKER_HOST: engine.host, DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) };
    const runtime = connectEngine({ ...env, DOCKER_CONFIG: emptyConfig });
    await expect(runtime.ensureImage(image)).rejects.toMatchObject({ code: 'image-unavailable' });
    const sent = login && Buffer.from(JSON.stringify(login)).toString('base64');
    expect(headers).toEqual([sent?.replaceAll('+', '-').replaceAll('/', '_')]);
  });

  test('can fail in the middle of a pull', async () => {
    await using engine = await withoutImages((response) => {
      response.write('{"status":"Pulling from library/x"}\r\n\r\n');
      response.end('{"errorDetail":{"message":"no space"},"error":"no space left on device"}\r\n');
    });
    await expect(connectTo(engine.host).ensureImage('x')).rejects.toMatchObject({
      code: 'image-unavailable',
      message: 'could not pull the image x:latest: no space left on device',
      hint: expect.stringContaining('docker system df'),
    });
  });

  test('can stop in the middle of a pull', async () => {
    await using engine = await withoutImages((response) => {
      response.write('{"status":"Pulling from library/x"}\r\n');
    });
    await expect(connectTo(engine.host, short).ensureImage('x')).rejects.toMatchObject({
      code: 'image-unavailable',
      message: 'could not pull the image x:latest: nothing came for 0.5 s',
    });
  });

  test('can be given up in the middle of a pull', async () => {
    const controller = new AbortController();
    await using engine = await withoutImages((response) => {
      response.write('{"status":"Pulling from library/x"}\r\n', () => {
        controller.abort();
      });
    });
    await expect(connectTo(engine.host).ensureImage('x', controller.signal)).rejects.toMatchObject({
      code: 'cancelled',
    });
  });
});

/** `ca.pem`, and `cert.pem` with `key.pem` for 127.0.0.1, as the docker client has them in its folder. */
async function makeCertificates(folder: string) {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const root = ['-subj', '/CN=ca', '-keyout', 'ca-key.pem', '-out', 'ca.pem'];
  await openssl('req', '-x509', ...made, ...root);
  const leaf = ['-subj', '/CN=engine', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-addext', 'basicConstraints=CA:FALSE'];
  await openssl(
    'req',
    '-x509',
    ...made,
    ...leaf,
    ...signed,
    '-keyout',
    'key.pem',
    '-out',
    'cert.pem',
  );
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}
