import { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

import type Docker from 'dockerode';

import { AppError } from '../errors.ts';
import { silenceMs } from './silence.ts';

/** How long the engine may say nothing before it is taken for one that hangs. */
export interface EngineLimits {
  /** For its version, which it answers at once when it is well. */
  readonly versionMs: number;
  /** For a question: to inspect, list, read. It may be busy with other things. */
  readonly questionMs: number;
  /** For a change: removing a large volume, or filling one from an image, takes its time on a slow disk. */
  readonly changeMs: number;
  /** For the next word of a pull, and the next byte of an archive. */
  readonly silenceMs: number;
}

export const engineLimits: EngineLimits = {
  versionMs: 10_000,
  questionMs: 120_000,
  changeMs: 600_000,
  silenceMs,
};

/** These last as long as a program in a container does: who asks for them has a limit of its own. */
const unlimited = /^\/(?:containers\/[^/]+\/wait|exec\/[^/]+\/start)\b/;

interface DialOptions {
  readonly path: string;
  readonly method: string;
  readonly abortSignal?: AbortSignal;
  /** A body to be streamed. */
  readonly file?: unknown;
  /** Parameters; `t` is the grace in seconds of a stop. */
  readonly options?: { readonly t?: number };
}

type Dial = (options: DialOptions, done: (error: unknown, result?: unknown) => void) => void;

/**
 * Gives every request of this client a deadline, up to the head of its answer: one that passes it fails with
 * `docker-unreachable`. An upload must go on, however long it takes.
 */
export function setDeadlines(docker: Docker, limits: EngineLimits): void {
  // A cast: all of dockerode's requests go through this one function, whose types leave out what we look at.
  const modem = docker.modem as unknown as { dial: Dial };
  const dial = modem.dial.bind(modem);
  modem.dial = (options, done) => {
    if (unlimited.test(options.path)) {
      dial(options, done);
      return;
    }
    const limitMs = limitOf(options, limits);
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
    }, limitMs).unref();
    const signals = [late.signal, ...(options.abortSignal ? [options.abortSignal] : [])];
    const { file } = options;
    const upload = file instanceof Readable ? Readable.from(passing(file, timer)) : undefined;
    const bounded = {
      ...options,
      abortSignal: AbortSignal.any(signals),
      ...(upload && { file: upload }),
    };
    dial(bounded, (error, result) => {
      clearTimeout(timer);
      upload?.destroy();
      if (error && late.signal.aborted) done(unansweredError(limitMs, error, options));
      else done(error, result);
    });
  };
}

function limitOf({ method, options }: DialOptions, limits: EngineLimits): number {
  if (method === 'GET' || method === 'HEAD') return limits.questionMs;
  return limits.changeMs + (options?.t ?? 0) * 1000;
}

/** The chunks of `source`; each puts the alarm off. */
async function* passing(source: Readable, timer: NodeJS.Timeout): AsyncIterable<unknown> {
  for await (const chunk of source) {
    timer.refresh();
    yield chunk;
  }
}

/** The same answer, which fails with `error` when nothing of it has come for so long. */
export function endSilence<T extends NodeJS.ReadableStream>(
  answer: T,
  limitMs: number,
  error: AppError,
): T {
  if (answer instanceof IncomingMessage) {
    answer.setTimeout(limitMs, () => {
      answer.destroy(error);
    });
  }
  return answer;
}

/** For an engine that takes a question and does not answer. */
export function unansweredError(
  limitMs: number,
  cause: unknown,
  asked?: Pick<DialOptions, 'method' | 'path'>,
): AppError {
  const question = asked ? ` ${asked.method} ${asked.path.replace(/\?.*$/, '')}` : '';
  return new AppError(
    'docker-unreachable',
    `the container engine did not answer${question} within ${limitMs / 1000} s`,
    { cause, hint: 'Restart it, or set DOCKER_HOST to another one' },
  );
}
