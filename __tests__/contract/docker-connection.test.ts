import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

import { afterEach, describe, expect, test } from '@jest/globals';

import { connectDocker } from '../../src/runtime/docker.ts';
import type { ContainerRuntime } from '../../src/runtime/runtime.ts';
import { startFakeEngine } from '../support/fake-engine.ts';

const run = promisify(execFile);
const dockerHost = process.env['DOCKER_HOST'];

afterEach(() => {
  if (dockerHost === undefined) delete process.env['DOCKER_HOST'];
  else process.env['DOCKER_HOST'] = dockerHost;
});

function connectTo(host: string, answerTimeoutMs?: number): ContainerRuntime {
  process.env['DOCKER_HOST'] = host;
  return connectDocker(answerTimeoutMs);
}

describe('an engine that cannot be reached', () => {
  test('because there is no socket', async () => {
    const runtime = connectTo('unix:///nonexistent/docker.sock');
    const unreachable = {
      code: 'docker-unreachable',
      message: 'no container engine answers at unix:///nonexistent/docker.sock (ENOENT)',
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
      message: 'no container engine answers at tcp://127.0.0.1 (ECONNREFUSED)',
    });
  });

  test.each(['ssh://host', 'tcp://no port:x'])('because the address cannot be used: %s', (host) => {
    expect(() => connectTo(host)).toThrow(
      expect.objectContaining({
        code: 'docker-unreachable',
        hint: expect.stringContaining('unix://'),
      }),
    );
  });

  test('because the socket is for others only', async () => {
    await using engine = await startFakeEngine((_request, response) => response.end('{}'));
    chmodSync(engine.path, 0);
    chmodSync(dirname(engine.path), 0o755);
    // Root may use any socket: it has to be nobody, in a process of its own.
    const root = process.getuid?.() === 0;
    const script = `
      const { connectDocker } = await import(process.argv[1]);
      const error = await connectDocker().info().catch((e) => e);
      console.log(JSON.stringify({ code: error.code, message: error.message, hint: error.hint }));`;
    const { stdout } = await run(
      process.execPath,
      ['--input-type=module', '--eval', script, import.meta.resolve('../../src/runtime/docker.ts')],
      { env: { DOCKER_HOST: engine.host }, cwd: '/', ...(root && { uid: 65534, gid: 65534 }) },
    );
    expect(JSON.parse(stdout)).toEqual({
      code: 'docker-unreachable',
      message: `permission denied on the container engine's socket ${engine.host}`,
      hint: expect.stringContaining('"docker" group'),
    });
  });

  test('because it takes the question and never answers', async () => {
    await using engine = await startFakeEngine(() => undefined);
    await expect(connectTo(engine.host, 200).info()).rejects.toMatchObject({
      code: 'docker-unreachable',
      message: 'the container engine did not answer within 0.2 s',
      hint: expect.stringContaining('Restart it'),
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

describe('an image that is not there', () => {
  test('is not to be had from a registry that does not answer', async () => {
    if (dockerHost !== undefined) process.env['DOCKER_HOST'] = dockerHost;
    let pulls = 0;
    // Nothing listens on port 1: no time is lost on a name that has to be looked up.
    const reference = '127.0.0.1:1/snapvol/nothing:1';
    await expect(
      connectDocker().ensureImage(reference, undefined, () => (pulls += 1)),
    ).rejects.toMatchObject({
      code: 'image-unavailable',
      message: expect.stringContaining(reference),
      hint: expect.stringContaining(`docker pull ${reference}`),
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

  test('can fail in the middle of a pull', async () => {
    await using engine = await withoutImages((response) => {
      response.write('{"status":"Pulling from library/x"}\r\n\r\n');
      response.end('{"errorDetail":{"message":"no space"},"error":"no space left on device"}\r\n');
    });
    await expect(connectTo(engine.host).ensureImage('x')).rejects.toMatchObject({
      code: 'image-unavailable',
      message: 'could not pull the image x:latest: no space left on device',
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
