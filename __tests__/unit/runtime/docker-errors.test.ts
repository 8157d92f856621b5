import { connect } from 'node:net';

import { describe, expect, test } from '@jest/globals';

import { AppError } from '../../../src/errors.ts';
import {
  statusOf,
  StreamedRefusal,
  translateDockerError,
  translatePullError,
} from '../../../src/runtime/docker-errors.ts';

const where = 'unix:///var/run/docker.sock, the default';

function withCode(code: string): Error {
  return Object.assign(new Error(`connect ${code} somewhere`), { code });
}

/** As dockerode throws what the engine answers. */
function answer(statusCode: number, message: string): Error {
  const text = `(HTTP code ${statusCode}) server error - ${message} `;
  return Object.assign(new Error(text), { statusCode, json: { message } });
}

const translate = (error: unknown): AppError => translateDockerError('do it', error, where);

describe('an engine call that fails', () => {
  test.each([
    'ENOENT',
    'ECONNREFUSED',
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'ENOTFOUND',
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_STREAM_PREMATURE_CLOSE',
  ])('because of the connection: %s', (code) => {
    const error = withCode(code);
    expect(translate(error)).toMatchObject({
      code: 'docker-unreachable',
      message: `no container engine answers at ${where} (${code})`,
      hint: expect.stringContaining('DOCKER_HOST'),
      cause: error,
    });
  });

  test.each(['EACCES', 'EPERM'])('because of rights: %s', (code) => {
    expect(translate(withCode(code))).toMatchObject({
      code: 'docker-unreachable',
      message: `permission denied on the container engine's socket ${where}`,
      hint: expect.stringContaining('"docker" group'),
    });
  });

  test('because the engine says so: its own words, without the client library around them', () => {
    const error = answer(500, 'something went wrong');
    expect(translate(error)).toMatchObject({
      code: 'engine-refused',
      message: 'could not do it: something went wrong',
      hint: expect.stringContaining('the log of the engine'),
      cause: error,
    });
    expect(statusOf(error)).toBe(500);
    const asStream = Object.assign(new Error(error.message), { statusCode: 500, json: null });
    expect(translate(asStream).message).toBe('could not do it: something went wrong');
    expect(translate(new StreamedRefusal('no'))).toMatchObject({ code: 'engine-refused' });
  });

  test.each([
    [400, 'invalid mount config', 'one of the settings'],
    [403, 'authorization denied by plugin', 'an authorization plugin or a proxy'],
    [404, 'network x not found', 'not there, or not any more'],
    [409, 'container is paused', 'in use, or in a state'],
    [501, 'not implemented', 'This engine cannot do it'],
    [503, 'This node is not a swarm manager', 'not ready for it'],
    [500, 'OCI runtime create failed: exec format error', 'another architecture'],
    [500, 'mounts denied: the path /x', 'File sharing'],
    [500, 'Container ID 300000 cannot be mapped to a host ID', '/etc/subuid'],
    [418, "I'm a teapot", 'the log of the engine'],
  ])('because the engine answers %i %s: what to do next', (status, said, hint) => {
    expect(translate(answer(status, said))).toMatchObject({
      code: 'engine-refused',
      message: `could not do it: ${said}`,
      hint: expect.stringContaining(hint),
    });
  });

  test.each(['EMFILE', 'ENFILE', 'ENOMEM'])('for want of something here: %s', (code) => {
    expect(translate(withCode(code)).code).toBe('system-error');
  });

  test('because its disk is full: for that it has no code', () => {
    expect(translate(answer(500, 'write /x: no space left on device'))).toMatchObject({
      code: 'copy-failed',
      message: 'could not do it: write /x: no space left on device',
      hint: expect.stringContaining('the disk of the container engine'),
    });
  });

  test('by our own mistake: nobody is told to start an engine', () => {
    expect(translate(new TypeError('x is not a function')).code).toBe('internal');
    expect(translate(withCode('ERR_INVALID_ARG_TYPE')).code).toBe('internal');
    expect(translate('text').message).toBe('a bug in snapvol: text');
    expect(translate(undefined).code).toBe('internal');
  });

  test('because it was cancelled', () => {
    expect(translate(AbortSignal.abort().reason)).toMatchObject({
      code: 'cancelled',
      message: 'cancelled: do it',
    });
  });

  test('with an error of ours: it stays as it is', () => {
    const error = new AppError('port-taken', 'port 1 is taken');
    expect(translate(error)).toBe(error);
  });

  test('with an error of the core of Node, which is of another realm here', async () => {
    const error = await new Promise((resolve) => {
      connect('/nonexistent/snapvol.sock').once('error', resolve);
    });
    expect(translate(error)).toMatchObject({
      code: 'docker-unreachable',
      message: expect.stringContaining('(ENOENT)'),
    });
  });
});

describe('a pull that fails', () => {
  const pull = (error: unknown, registry = 'ghcr.io', loggedIn = false): AppError =>
    translatePullError('postgres:17', error, where, { registry, loggedIn });

  test.each([
    ['with a status', answer(404, 'manifest unknown')],
    ['inside the progress stream', new StreamedRefusal('manifest unknown')],
  ])('%s', (_name, error) => {
    expect(pull(error)).toMatchObject({
      code: 'image-unavailable',
      message: 'could not pull the image postgres:17: manifest unknown',
      hint: 'Check the name; if the image is private, run "docker login ghcr.io" in an earlier step',
      cause: error,
    });
  });

  test('says what to do about the login', () => {
    const refused = answer(500, 'unauthorized: authentication required');
    const often = answer(500, 'toomanyrequests: You have reached your pull rate limit.');
    expect(pull(refused, 'docker.io').hint).toContain('run "docker login" in');
    expect(pull(refused, 'ghcr.io', true).hint).toContain('the login for ghcr.io is still good');
    expect(pull(often, 'docker.io').hint).toMatch(/^Log in to raise the limit: run "docker login"/);
    expect(pull(often, 'docker.io', true).hint).toMatch(/^Wait a while/);
  });

  test('for want of an engine is not the fault of the image', () => {
    expect(pull(withCode('ECONNREFUSED')).code).toBe('docker-unreachable');
    expect(pull(AbortSignal.abort().reason).code).toBe('cancelled');
  });
});
