import type { Clock } from '../clock.ts';
import { AppError, messageOf } from '../errors.ts';
import type { ContainerRuntime, ContainerState } from './runtime.ts';

const pauseMs = 100;
/** The answer of a server that serves. */
export const ready = 'ready';
/** How long one that serves may take for it. */
const answerTimeoutMs = 10_000;
const neverAsked = 'none';
/** How much of a container's log an error carries. */
export const logTailLines = 30;

export interface Readiness {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs the readiness command inside the container until it exits 0. Resolves with what it has printed then.
 * @throws `container-unhealthy` with the last log lines when the container ends or `timeoutMs` is over
 */
export async function waitUntilReady(
  runtime: ContainerRuntime,
  clock: Clock,
  id: string,
  readiness: Readiness,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const deadline = clock.monotonicMs() + timeoutMs;
  let lastAnswer = neverAsked;
  for (;;) {
    const state = await runtime.inspectContainer(id, signal);
    if (!state?.running) {
      throw new AppError(
        'container-unhealthy',
        `the database ${howEnded(state)} before it was ready`,
        {
          hint: 'Look at its last log lines, printed with this error',
          details: await runtime.logs(id, logTailLines),
        },
      );
    }
    const remainingMs = deadline - clock.monotonicMs();
    if (remainingMs <= 0) {
      throw new AppError(
        'container-unhealthy',
        `the database was not ready within ${timeoutMs / 1000} s (last answer: ${lastAnswer})`,
        {
          hint: 'Raise "wait-timeout" if it only needs longer',
          details: await runtime.logs(id, logTailLines),
        },
      );
    }
    const answer = await ask(runtime, id, readiness, remainingMs, signal);
    if (answer.isReady) return answer.output;
    // A question cut off at the deadline says less than the one before it.
    if (clock.monotonicMs() < deadline || lastAnswer === neverAsked) lastAnswer = inShort(answer);
    await clock.sleep(pauseMs, signal);
  }
}

/** In words, of a container that does not run any more. */
export function howEnded(state: ContainerState | undefined): string {
  if (!state) return 'was removed';
  return state.oomKilled ? 'ran out of memory' : `exited with code ${state.exitCode}`;
}

/** As {@link waitUntilReady}, but once: {@link ready}, or what it said instead. */
export async function askOnce(
  runtime: ContainerRuntime,
  id: string,
  readiness: Readiness,
  signal: AbortSignal,
): Promise<string> {
  const answer = await ask(runtime, id, readiness, answerTimeoutMs, signal);
  return answer.isReady ? ready : inShort(answer);
}

interface Answer {
  readonly isReady: boolean;
  readonly output: string;
}

function inShort({ output }: Answer): string {
  return output.split('\n').at(-1) ?? '';
}

/** A command that hangs is given up at the deadline. */
async function ask(
  runtime: ContainerRuntime,
  id: string,
  readiness: Readiness,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Answer> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const { exitCode, output } = await runtime.exec(id, readiness.command, readiness.env, patience);
    return { isReady: exitCode === 0, output: output.trim() };
  } catch (error) {
    signal.throwIfAborted();
    // The container may have ended between the two questions; the next inspection tells.
    if (error instanceof AppError && error.code === 'docker-unreachable') throw error;
    return { isReady: false, output: messageOf(error) };
  }
}
