import type { RequestOptions } from 'node:https';
import { finished, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import DockerModem from 'docker-modem';
import Docker from 'dockerode';

import { AppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { RegistryLogin } from '../registry-login.ts';
import {
  endSilence,
  setDeadlines,
  unansweredError,
  type EngineLimits,
} from './docker-deadlines.ts';
import type { DockerEndpoint } from './docker-endpoint.ts';
import { StreamedRefusal, unreadableAnswer } from './docker-errors.ts';
import { linesOf } from './docker-frames.ts';

// The calls for which dockerode alone is not enough: it would wait for ever, or take a failure for a success.

export function createClient(endpoint: DockerEndpoint, limits: EngineLimits): Docker {
  // A cast: the types do not know this option.
  const docker = new Docker({ modem: modemTo(endpoint) } as Docker.DockerOptions);
  setDeadlines(docker, limits);
  return docker;
}

type Build = (options: RequestOptions, ...rest: unknown[]) => void;

/**
 * The client library's connection, made without its constructor: that one reads the environment by other rules than the
 * docker client, and fails by it. All it wants to know is a socket: for TCP it takes the address of each request apart
 * with `url.parse`, of which Node warns (DEP0169). Where a request goes in truth is said when it is built.
 * https://github.com/apocas/docker-modem/blob/v5.0.7/lib/modem.js
 */
function modemTo({ secure, connection, pathPrefix }: DockerEndpoint): DockerModem {
  // A cast: for the types this method is private.
  const prototype = DockerModem.prototype as unknown as { readonly buildRequest: Build };
  const buildRequest: Build = (options, ...rest) => {
    const path = pathPrefix + (options.path ?? '');
    prototype.buildRequest.call(
      modem,
      { ...options, socketPath: undefined, ...connection, path },
      ...rest,
    );
  };
  const modem = Object.assign(Object.create(prototype) as DockerModem, {
    protocol: secure ? 'https' : 'http',
    headers: {},
    socketPath: 'its own',
    buildRequest,
  });
  return modem;
}

/** @throws `docker-unreachable` for an engine that takes the question and does not answer */
export async function askVersion(docker: Docker, timeoutMs: number): Promise<Docker.DockerVersion> {
  // A cast: the types do not know the options that the method takes.
  const client = docker as { version(options: object): Promise<Docker.DockerVersion> };
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    return await client.version(abortable(deadline));
  } catch (error) {
    throw deadline.aborted ? unansweredError(timeoutMs, error) : error;
  }
}

export async function pull(
  docker: Docker,
  name: string,
  login: RegistryLogin | undefined,
  silenceMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const progress = await docker.pull(name, {
    ...(login && { authconfig: authConfig(login) }),
    ...abortable(signal),
  });
  const silent = new AppError(
    'image-unavailable',
    `could not pull the image ${name}: nothing came for ${silenceMs / 1000} s`,
    { hint: 'Look whether its registry answers, and try again' },
  );
  await refuseFailure(endSilence(progress, silenceMs, silent));
}

/** https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication */
function authConfig(login: RegistryLogin): object {
  return 'identityToken' in login ? { identitytoken: login.identityToken } : login;
}

/** The engine reports a failure inside the progress stream: one JSON object on each line. */
export async function refuseFailure(progress: NodeJS.ReadableStream): Promise<void> {
  for (const line of linesOf(await text(progress))) {
    if (line === '') continue;
    const { error } = parseJson(line, (cause) => unreadableAnswer('how it goes on', cause)) as {
      error?: string;
    };
    if (error !== undefined) throw new StreamedRefusal(error);
  }
}

/**
 * The exit code of a container, once it has ended. That may take hours: from time to time the engine is asked something
 * else, which one that hangs does not answer either.
 */
export async function waitForEnd(
  docker: Docker,
  id: string,
  heartbeatMs: number,
  signal?: AbortSignal,
): Promise<number> {
  for (;;) {
    const pause = AbortSignal.timeout(heartbeatMs);
    try {
      return await exitCodeOf(docker, id, AbortSignal.any([pause, ...(signal ? [signal] : [])]));
    } catch (error) {
      if (signal?.aborted || !pause.aborted) throw error;
    }
    await docker.getContainer(id).inspect({ ...abortable(signal) } as object);
  }
}

/**
 * The engine sends the head of its answer at once and the rest in the end: it is read as a stream, for only then an
 * engine that goes away in between is noticed.
 */
async function exitCodeOf(docker: Docker, id: string, signal: AbortSignal): Promise<number> {
  const answer = await new Promise<Readable>((resolve, reject) => {
    const request = {
      path: `/containers/${id}/wait`,
      method: 'POST',
      isStream: true,
      statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
      ...abortable(signal),
    };
    docker.modem.dial(request, (error, result) => {
      if (result instanceof Readable) resolve(result);
      else reject(error ?? new Error('no answer'));
    });
  });
  const ended = parseJson(await text(answer), (cause) =>
    unreadableAnswer('how a container has ended', cause),
  );
  return (ended as { StatusCode: number }).StatusCode;
}

/**
 * Uploads a tar. A request whose body never ends waits for ever: one whose source is gone is given up.
 * @throws `copy-failed` then, or the source's own AppError
 */
export async function upload(
  docker: Docker,
  id: string,
  path: string,
  tar: Readable,
  signal?: AbortSignal,
): Promise<void> {
  const broken = new AbortController();
  const stopWatching = finished(tar, { writable: false }, (error) => {
    if (error) broken.abort(error instanceof AppError ? error : brokenOff(path, error));
  });
  const abortSignal = AbortSignal.any([broken.signal, ...(signal ? [signal] : [])]);
  try {
    await docker.getContainer(id).putArchive(tar, { path, abortSignal });
  } catch (error) {
    throw broken.signal.aborted ? broken.signal.reason : error;
  } finally {
    stopWatching();
  }
}

function brokenOff(path: string, cause: Error): AppError {
  return new AppError('copy-failed', `what was to be written to ${path} broke off`, { cause });
}

export function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}
