import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { basename } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { AppError } from '../../src/errors.ts';
import type { ContainerSpec } from '../../src/runtime/runtime.ts';
import { connectEngine } from '../support/connect-engine.ts';
import { docker, removeMadeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { tarEnd, tarEntry } from '../support/tar-bytes.ts';

const runtime = connectEngine();
const image = testImage('postgres:17');
const id = `${process.pid}-${Date.now()}`;
const labels = { 'snapvol.test.runtime': id };
let count = 0;

afterAll(() => removeMadeWith(`snapvol.test.runtime=${id}`));

function newName(): string {
  count += 1;
  return `snapvol-runtime-${id}-${count}`;
}

/** A container that runs a shell script; by default it waits to be stopped. */
function spec(
  more: Partial<ContainerSpec> = {},
  script = 'trap "exit 0" INT; sleep infinity & wait',
): ContainerSpec {
  return {
    name: newName(),
    image,
    labels,
    entrypoint: ['bash', '-c', script],
    mounts: [],
    ...more,
  };
}

async function started(more: Partial<ContainerSpec> = {}, script?: string): Promise<string> {
  const container = await runtime.createContainer(spec(more, script));
  await runtime.startContainer(container);
  return container;
}

/** A server on a free port. */
async function listening(onConnection: (socket: Socket) => void) {
  const server = createServer(onConnection).listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a cast: it listens on TCP
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test('the engine says who it is', async () => {
  expect(await runtime.info()).toEqual({
    version: expect.stringMatching(/\d/),
    apiVersion: expect.stringMatching(/^1\.\d+$/),
    architecture: expect.stringMatching(/^(amd64|arm64)$/),
    host: '127.0.0.1',
    mayShareFolders: true,
  });
});

test('an image says what it is', async () => {
  let pulled = false;
  const facts = await runtime.ensureImage(image, undefined, () => (pulled = true));
  expect(pulled).toBe(false);
  expect(facts).toMatchObject({
    reference: image,
    id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    os: 'linux',
    env: { PGDATA: '/var/lib/postgresql/data' },
    volumes: ['/var/lib/postgresql/data'],
    ports: [5432],
    stopSignal: 'SIGINT',
  });
  expect(await runtime.ensureImage(testImage('no-tar'))).toMatchObject({
    volumes: [],
    ports: [],
    stopSignal: undefined,
  });
});

test('an image is found by its id, whole or in part; one that is not there cannot be pulled', async () => {
  const { id: whole } = await runtime.ensureImage(image);
  const bare = whole.replace('sha256:', '');
  for (const reference of [whole, bare, bare.slice(0, 12)]) {
    expect(await runtime.ensureImage(reference)).toMatchObject({ reference: whole, id: whole });
    const container = await runtime.createContainer(spec({ image: reference }));
    expect(await runtime.inspectContainer(container)).toMatchObject({ imageId: whole });
  }
  for (const reference of ['0123456789ab', `sha256:${'0'.repeat(64)}`]) {
    expect(await runtime.hasImage(reference)).toBe(false);
    await expect(runtime.ensureImage(reference)).rejects.toMatchObject({
      code: 'image-unavailable',
      message: `there is no image ${reference}`,
      hint: expect.stringContaining('An id cannot be pulled'),
    });
  }
});

describe('volumes', () => {
  test('are found by their name, and by all of their labels', async () => {
    const [one, two] = [newName(), newName()];
    await runtime.createVolume(one, { ...labels, which: 'one' });
    await runtime.createVolume(two, { ...labels, which: 'two' });
    expect(await runtime.findVolume(one)).toEqual({
      name: one,
      labels: { ...labels, which: 'one' },
      driver: 'local',
      options: {},
      mountpoint: expect.stringMatching(`^/.*/${one}/`),
    });
    const names = async (more: Readonly<Record<string, string>>) =>
      (await runtime.listVolumes({ ...labels, ...more })).map((volume) => volume.name);
    expect((await names({})).sort()).toEqual([one, two].sort());
    expect(await names({ which: 'two' })).toEqual([two]);
    expect(await names({ which: 'three' })).toEqual([]);
  });

  test('of somebody else are left as they are', async () => {
    const name = newName();
    const label = `snapvol.test.runtime=${id}`;
    await docker('volume', 'create', '--label', label, '--label', 'owner=somebody', name);
    await docker(
      'run',
      '--rm',
      '--volume',
      `${name}:/v`,
      '--entrypoint',
      'sh',
      image,
      '-c',
      'echo precious > /v/file',
    );
    const before = await docker('volume', 'inspect', name);
    await expect(runtime.createVolume(name, labels)).rejects.toMatchObject({
      code: 'volume-taken',
      message: `a volume named ${name} already exists`,
    });
    expect(await docker('volume', 'inspect', name)).toBe(before);
    const content = await docker(
      'run',
      '--rm',
      '--volume',
      `${name}:/v`,
      '--entrypoint',
      'cat',
      image,
      '/v/file',
    );
    expect(content).toBe('precious');
  });

  test('that are gone are not missed', async () => {
    const name = newName();
    await runtime.createVolume(name, labels);
    await runtime.removeVolume(name);
    await runtime.removeVolume(name);
    expect(await runtime.findVolume(name)).toBeUndefined();
  });

  test('without labels have none', async () => {
    const name = newName();
    await docker('volume', 'create', name);
    try {
      expect(await runtime.findVolume(name)).toEqual({
        name,
        labels: {},
        driver: 'local',
        options: {},
        mountpoint: expect.stringMatching(`^/.*/${name}/`),
      });
    } finally {
      await docker('volume', 'rm', name);
    }
  });

  test.each(['a b', '../info', 'a\nb', 'x?y#z', 'ü'])('are not there under %j', async (name) => {
    expect(await runtime.findVolume(name)).toBeUndefined();
  });

  test('that are in use are not removed', async () => {
    const name = newName();
    await runtime.createVolume(name, labels);
    await runtime.createContainer(
      spec({ mounts: [{ type: 'volume', source: name, target: '/v' }] }),
    );
    await expect(runtime.removeVolume(name)).rejects.toMatchObject({ code: 'engine-refused' });
    expect(await runtime.findVolume(name)).toBeDefined();
  });
});

test('networks are told with their ids', async () => {
  const name = newName();
  const made = await docker('network', 'create', name);
  try {
    const networks = await runtime.listNetworks();
    expect(networks).toContainEqual({ id: made.trim(), name });
    expect(networks.map((each) => each.name)).toEqual(expect.arrayContaining(['bridge', 'none']));
  } finally {
    await docker('network', 'rm', name);
  }
});

describe('containers', () => {
  test('are found by all of their labels, running or not, and say what they are', async () => {
    const which = { ...labels, which: newName() };
    const volume = newName();
    await runtime.createVolume(volume, labels);
    const wanted = spec({
      labels: which,
      env: { GREETING: 'a=b c' },
      mounts: [{ type: 'volume', source: volume, target: '/v', readOnly: true }],
    });
    const container = await runtime.createContainer(wanted);
    const state = {
      id: container,
      name: wanted.name,
      running: false,
      exitCode: 0,
      oomKilled: false,
      hostPort: undefined,
      mounts: expect.arrayContaining([
        { type: 'volume', source: volume, target: '/v', readOnly: true },
      ]),
      image,
    };
    expect(await runtime.listContainers(which)).toMatchObject([state]);
    await runtime.startContainer(container);
    const [running] = await runtime.listContainers(which);
    expect(running).toMatchObject({ ...state, running: true });
    expect(running?.labels).toMatchObject(which);
    expect(running?.env).toMatchObject({ GREETING: 'a=b c', PGDATA: '/var/lib/postgresql/data' });
    expect(await runtime.listContainers({ ...which, more: 'x' })).toEqual([]);
    expect(await runtime.inspectContainer(wanted.name)).toEqual(running);
  });

  test('end with their own exit code', async () => {
    const container = await started({}, 'exit 7');
    expect(await runtime.waitForExit(container)).toBe(7);
    expect(await runtime.inspectContainer(container)).toMatchObject({
      running: false,
      exitCode: 7,
    });
    expect(await runtime.stopContainer(container, 1000)).toBe(7);
  });

  test('are stopped by the signal that the image names', async () => {
    const container = await started(
      {},
      'trap "exit 3" INT; trap "exit 4" TERM; echo ready; sleep infinity & wait',
    );
    await logged(container, 'ready');
    expect(await runtime.stopContainer(container, 20_000)).toBe(3);
  });

  test('that do not stop in time are killed, and it shows', async () => {
    const container = await started({}, 'trap "" INT TERM; echo ready; sleep infinity');
    await logged(container, 'ready');
    expect(await runtime.stopContainer(container, 1)).toBe(137);
  });

  test('that are gone are not missed', async () => {
    const container = await started();
    await runtime.removeContainer(container);
    await runtime.removeContainer(container);
    expect(await runtime.inspectContainer(container)).toBeUndefined();
    expect(await runtime.logs(container, 10)).toEqual([]);
  });

  test('take their anonymous volumes with them, and leave the named ones', async () => {
    const volume = newName();
    await runtime.createVolume(volume, labels);
    const container = await runtime.createContainer(
      spec({ mounts: [{ type: 'volume', source: volume, target: '/v' }] }),
    );
    const state = await runtime.inspectContainer(container);
    const anonymous = state?.mounts.find(({ target }) => target === '/var/lib/postgresql/data');
    expect(await runtime.findVolume(anonymous?.source ?? '')).toBeDefined();
    await runtime.removeContainer(container);
    expect(await runtime.findVolume(anonymous?.source ?? '')).toBeUndefined();
    expect(await runtime.findVolume(volume)).toBeDefined();
  });

  test('have names that nobody else has', async () => {
    const first = spec();
    await runtime.createContainer(first);
    await expect(runtime.createContainer(spec({ name: first.name }))).rejects.toMatchObject({
      code: 'name-taken',
      message: `a container named ${first.name} already exists`,
    });
  });

  test('need an image that is there', async () => {
    await expect(
      runtime.createContainer(spec({ image: 'snapvol-test/nothing' })),
    ).rejects.toMatchObject({
      code: 'image-unavailable',
      message: 'there is no image snapvol-test/nothing',
    });
  });

  test('need the folders that they mount, which tell their type and when they were changed', async () => {
    const mount = (source: string) => spec({ mounts: [{ type: 'bind', source, target: '/f' }] });
    const nowhere = '/nowhere/at/all';
    await expect(runtime.createContainer(mount(nowhere))).rejects.toMatchObject({
      code: 'volume-missing',
      message: `the engine cannot mount ${nowhere}`,
    });
    const container = await runtime.createContainer(mount(import.meta.dirname));
    const { mtimeNs } = await stat(import.meta.filename, { bigint: true });
    const file = `/f/${basename(import.meta.filename)}`;
    expect(await runtime.stat(container, file)).toEqual({ type: 'file', modifiedNs: mtimeNs });
    expect(await runtime.stat(container, '/f')).toMatchObject({ type: 'folder' });
    expect(await runtime.stat(container, '/f/nothing')).toBeUndefined();
  });

  test.each(['a b', 'UPPER/x', 'a\nb', 'x?y#z', 'ü'])(
    'of an image that cannot be are refused by the engine: %j',
    async (name) => {
      expect(await runtime.hasImage(name)).toBe(false);
      await expect(runtime.ensureImage(name)).rejects.toMatchObject({
        code: 'image-unavailable',
        message: expect.stringContaining(`could not pull the image ${name}:latest: `),
      });
    },
  );

  test('that are confined can do nothing but what they are given', async () => {
    const container = await started({ confinedTo: ['CHOWN'], user: '0:0' });
    const { output } = await runtime.exec(
      container,
      [
        'bash',
        '-c',
        'grep CapPrm /proc/1/status; grep NoNewPrivs /proc/1/status; ls /sys/class/net; touch /file',
      ],
      {},
    );
    expect(output).toMatch(/CapPrm:\s+0{15}1\n/);
    expect(output).toMatch(/NoNewPrivs:\s+1\n/);
    expect(output).not.toContain('eth0');
    expect(output).toContain('Read-only file system');
  });
});

describe('the log of a container', () => {
  test('is its last lines, of both streams', async () => {
    const lines = async (script: string): Promise<string[]> => {
      const container = await started({}, script);
      await runtime.waitForExit(container);
      return runtime.logs(container, 3);
    };
    expect(await lines('for i in {1..50}; do echo line $i; done')).toEqual([
      'line 48',
      'line 49',
      'line 50',
    ]);
    // The engine may swap the two streams.
    expect((await lines('echo output; echo problem >&2')).sort()).toEqual(['output', 'problem']);
  });

  test('that cannot be read says so', async () => {
    const name = newName();
    const [label] = Object.entries(labels).map((pair) => pair.join('='));
    await docker('create', '--log-driver=none', `--name=${name}`, `--label=${label ?? ''}`, image);
    const state = await runtime.inspectContainer(name);
    expect(await runtime.logs(state?.id ?? '', 3)).toEqual([
      expect.stringMatching(
        new RegExp(`^could not read the log of the container ${name}: .*driver`),
      ),
    ]);
    await runtime.removeContainer(name);
  });
});

describe('a command in a container', () => {
  let container: string;

  beforeAll(async () => {
    container = await started();
  });

  test('gets its environment, and gives its exit code and all of its output', async () => {
    const script = 'echo "$GREETING"; exec >&2; echo problem; exit 5';
    const env = { GREETING: 'hello = \n "world"' };
    const result = await runtime.exec(container, ['bash', '-c', script], env);
    expect(result.exitCode).toBe(5);
    // The engine may swap the two streams.
    for (const text of ['hello = \n "world"\n', 'problem\n']) expect(result.output).toContain(text);
    expect(result.output).toHaveLength('hello = \n "world"\nproblem\n'.length);
    expect(await runtime.exec(container, ['true'], {})).toEqual({ exitCode: 0, output: '' });
  });

  test('gives the end of a long output', async () => {
    const { output } = await runtime.exec(container, ['bash', '-c', 'seq 100000'], {});
    expect(output).toHaveLength(64 * 1024);
    expect(output).toMatch(/\n99999\n100000\n$/);
  });

  test('that is not there fails', async () => {
    const calling = runtime.exec(container, ['no-such-program'], {});
    // Engines differ: some answer with an error, some with an exit code.
    const failed = await calling.then(
      ({ exitCode }) => exitCode !== 0,
      (error: unknown) => error instanceof AppError && error.code === 'engine-refused',
    );
    expect(failed).toBe(true);
  });

  test('needs a container that runs', async () => {
    const named = spec();
    const stopped = await runtime.createContainer(named);
    await expect(runtime.exec(stopped, ['true'], {})).rejects.toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining(`could not run true in the container ${named.name}: `),
    });
  });
});

describe('files of a container', () => {
  test('go in and come out, though it never ran', async () => {
    const container = await runtime.createContainer(spec());
    const tar = Buffer.concat([tarEntry('file', 'content'), tarEnd]);
    await runtime.putArchive(container, '/tmp', Readable.from([tar]));
    const read = await runtime.getArchive(container, '/tmp/file');
    expect(read && (await buffer(read)).toString('latin1')).toContain('content');
  });

  test('that are not there are undefined', async () => {
    const container = await runtime.createContainer(spec());
    expect(await runtime.getArchive(container, '/tmp/nothing')).toBeUndefined();
  });

  test('that are no tar are refused', async () => {
    const container = await runtime.createContainer(spec());
    const text = Readable.from([Buffer.alloc(2000, 'x')]);
    await expect(runtime.putArchive(container, '/tmp', text)).rejects.toMatchObject({
      code: 'engine-refused',
    });
  });

  test.each([
    ['an error', new Error('the source broke')],
    ['nothing said', undefined],
  ])('whose source ends too early do not keep anybody waiting: %s', async (_name, error) => {
    const container = await runtime.createContainer(spec());
    for (const early of [true, false]) {
      const source = new PassThrough();
      if (early) source.destroy();
      else source.write(tarEntry('file', Buffer.alloc(10_000)).subarray(0, 5000));
      const putting = runtime.putArchive(container, '/tmp', source);
      if (!early) source.destroy(error);
      await expect(putting).rejects.toMatchObject({ code: 'copy-failed' });
    }
  });
});

describe('a port', () => {
  const publishing = (hostPort: number): Partial<ContainerSpec> => ({
    publish: { containerPort: 5432, hostPort },
  });

  test('of the engine\u2019s choice is free, and stays the same', async () => {
    const container = await started(publishing(0));
    const port = (await runtime.inspectContainer(container))?.hostPort;
    expect(port).toBeGreaterThan(0);
    await runtime.stopContainer(container, 5000);
    expect(await runtime.inspectContainer(container)).toMatchObject({ hostPort: undefined });
    await runtime.startContainer(container);
    expect(await runtime.inspectContainer(container)).toMatchObject({ hostPort: port });
  });

  test('of an engine on another machine stays the same, too; one that a process listens on is taken', async () => {
    const path = process.env['DOCKER_HOST']?.replace(/^unix:\/\//, '') ?? '/var/run/docker.sock';
    await using relay = await listening((socket) => {
      const engine = connect({ path });
      pipeline(socket, engine, socket).catch(() => socket.destroy());
    });
    const remote = connectEngine({ DOCKER_HOST: `tcp://127.0.0.1:${relay.port}` });
    expect(await remote.info()).toMatchObject({ mayShareFolders: false });

    const container = await remote.createContainer(spec(publishing(0)));
    await remote.startContainer(container);
    const port = (await remote.inspectContainer(container))?.hostPort;
    expect(port).toBeGreaterThan(0);
    await remote.stopContainer(container, 5000);
    await remote.startContainer(container);
    expect(await remote.inspectContainer(container)).toMatchObject({ hostPort: port });

    const other = await remote.createContainer(spec(publishing(relay.port)));
    await expect(remote.startContainer(other)).rejects.toMatchObject({
      code: 'port-taken',
      message: `port ${relay.port} is taken`,
    });
  });

  test('that another container has is taken by that container', async () => {
    const holder = spec(publishing(0));
    const held = await runtime.createContainer(holder);
    await runtime.startContainer(held);
    const port = (await runtime.inspectContainer(held))?.hostPort ?? 0;
    const container = await runtime.createContainer(spec(publishing(port)));
    await expect(runtime.startContainer(container)).rejects.toMatchObject({
      code: 'port-taken',
      message: `port ${port} is taken by container ${holder.name}`,
      hint: expect.stringContaining('"port"'),
    });
  });

  test('that a process listens on is taken by that process', async () => {
    const server = await listening(() => undefined);
    const { port } = server;
    const container = await runtime.createContainer(spec(publishing(port)));
    await expect(runtime.startContainer(container)).rejects.toMatchObject({
      code: 'port-taken',
      message: expect.stringMatching(
        new RegExp(`^port ${port} is taken by .+ \\(pid ${process.pid}\\)$`),
      ),
    });
    await server[Symbol.asyncDispose]();
    await runtime.startContainer(container);
    expect(await runtime.inspectContainer(container)).toMatchObject({ hostPort: port });
  });
});

describe('a cancelled call', () => {
  const aborted = AbortSignal.abort();

  test.each([
    ['ensureImage', () => runtime.ensureImage(image, aborted)],
    ['createVolume', () => runtime.createVolume(newName(), labels, aborted)],
    ['findVolume', () => runtime.findVolume('x', aborted)],
    ['listVolumes', () => runtime.listVolumes(labels, aborted)],
    ['createContainer', () => runtime.createContainer(spec(), aborted)],
    ['startContainer', () => runtime.startContainer('x', aborted)],
    ['waitForExit', () => runtime.waitForExit('x', aborted)],
    ['inspectContainer', () => runtime.inspectContainer('x', aborted)],
    ['listContainers', () => runtime.listContainers(labels, aborted)],
    ['exec', () => runtime.exec('x', ['true'], {}, aborted)],
    ['getArchive', () => runtime.getArchive('x', '/', aborted)],
    ['putArchive', () => runtime.putArchive('x', '/', Readable.from([tarEnd]), aborted)],
  ])('%s', async (_verb, call) => {
    await expect(call()).rejects.toMatchObject({ code: 'cancelled' });
  });

  test('that is under way ends at once', async () => {
    const container = await started();
    const controller = new AbortController();
    const { signal } = controller;
    const outcomes = Promise.allSettled([
      runtime.waitForExit(container, signal),
      runtime.exec(container, ['sleep', '600'], {}, signal),
    ]);
    // By now the engine has them: it answers a later call.
    await runtime.exec(container, ['true'], {});
    controller.abort(new Error('any reason'));
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'cancelled' } });
    }
  });

  test('in the middle of an upload ends at once', async () => {
    const container = await runtime.createContainer(spec());
    const controller = new AbortController();
    const chunk = tarEntry('file', Buffer.alloc(1_000_000)).subarray(0, 900_000);
    let reads = 0;
    const upload = new Readable({
      read() {
        reads += 1;
        if (reads === 1) this.push(chunk);
        else controller.abort();
      },
    });
    const putting = runtime.putArchive(container, '/tmp', upload, controller.signal);
    await expect(putting).rejects.toMatchObject({ code: 'cancelled' });
    await runtime.removeContainer(container);
  });
});

/** Waits until the container has printed a line. */
async function logged(container: string, line: string): Promise<void> {
  await docker('exec', container, 'true');
  while (!(await runtime.logs(container, 10)).includes(line))
    await docker('exec', container, 'true');
}
