import { AppError, toAppError } from '../errors.ts';
import { logTailLines, waitUntilReady, type Readiness } from '../runtime/health.ts';
import type { ContainerRuntime, ContainerState, PublishedPorts } from '../runtime/runtime.ts';
import type { Tools } from './context.ts';
import { refuseBesideNew, type Company } from './writers.ts';

const pauseMs = 100;

/** A port that the engine has chosen anew: whoever connects to the old one finds nobody. */
export interface ChangedPort {
  readonly container: string;
  /** Of the container: `5432/tcp`. */
  readonly port: string;
  /** `127.0.0.1:49153` */
  readonly before: string;
  readonly after: string;
}

/**
 * Lets a container go on that was stopped or paused, the same one, and waits until it is as well as it was. Not to be
 * cancelled: nobody else would start it.
 * @param company who may run beside it; beside others it is not started
 * @param readiness asked inside of it; without it its health check has to do, where it was healthy before
 * @throws `container-unhealthy` when it does not come back, or must not: it is then left as it is
 */
export async function startAgain(
  tools: Pick<Tools, 'runtime' | 'clock' | 'log'>,
  before: ContainerState,
  company: Company,
  readiness: Readiness | undefined,
  waitTimeoutMs: number,
): Promise<readonly ChangedPort[]> {
  const { runtime, clock, log } = tools;
  const { id, name } = before;
  const hasEnded = async (): Promise<boolean> =>
    (await runtime.inspectContainer(id))?.running === false;
  const serve = async (): Promise<void> => {
    const now = await runtime.inspectContainer(id);
    if (!now) throw removedError(name);
    if (!now.running) {
      await startOrTell(runtime, before, company);
    } else if (now.paused) {
      await refuseBesideNew(runtime, before, company, 'paused');
      await runtime.unpauseContainer(id);
    }
    if (readiness) await waitUntilReady(runtime, clock, id, readiness, waitTimeoutMs, never);
    else await waitUntilHealthy(tools, before, waitTimeoutMs);
  };
  try {
    await serve();
  } catch (error) {
    // One that was too slow to shut down may have ended while it was waited for.
    if (!(await hasEnded())) throw error;
    await serve();
  }
  log.info(`${name} runs again`);
  const after = await runtime.inspectContainer(id);
  return changedPorts(name, before.publishedPorts, after?.publishedPorts ?? {});
}

/** Another one may have its name by now: that one is left alone. */
function removedError(name: string): AppError {
  return new AppError(
    'container-unhealthy',
    `the container ${name} was removed while it was at rest`,
    {
      hint: 'Look whether another one has taken its place; if none has, make it again',
    },
  );
}

/** Whatever keeps it from running, it is not running: that is worse than a copy that failed. */
async function startOrTell(
  runtime: ContainerRuntime,
  before: ContainerState,
  company: Company,
): Promise<void> {
  const { id, name } = before;
  try {
    await refuseBesideNew(runtime, before, company, 'stopped');
    await runtime.startContainer(id);
  } catch (error) {
    const { code, message, hint } = toAppError(error);
    if (code === 'container-unhealthy') throw error; // it tells of a newcomer
    throw new AppError(
      code === 'docker-unreachable' ? code : 'container-unhealthy',
      `the container ${name} could not be started again: ${message}`,
      { cause: error, hint: hint ?? `When the cause is removed: "docker start ${name}"` },
    );
  }
}

const never = new AbortController().signal;

async function waitUntilHealthy(
  { runtime, clock }: Pick<Tools, 'runtime' | 'clock'>,
  { id, name, health }: ContainerState,
  timeoutMs: number,
): Promise<void> {
  const deadline = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const now = await runtime.inspectContainer(id);
    if (now?.running === true && (health !== 'healthy' || now.health === 'healthy')) return;
    if (now?.running !== true || clock.monotonicMs() >= deadline) {
      const problem = now?.running
        ? `is not healthy after ${timeoutMs / 1000} s`
        : `ended with exit code ${now?.exitCode ?? '?'}`;
      throw new AppError(
        'container-unhealthy',
        `the container ${name} was started again and ${problem}`,
        {
          hint: 'Look at its last log lines, printed with this error',
          details: await runtime.logs(id, logTailLines),
        },
      );
    }
    await clock.sleep(pauseMs);
  }
}

function changedPorts(
  container: string,
  before: PublishedPorts,
  after: PublishedPorts,
): ChangedPort[] {
  return Object.entries(before).flatMap(([port, addresses]) => {
    const [was, is] = [addresses.join(' '), (after[port] ?? []).join(' ')];
    return was === is ? [] : [{ container, port, before: was, after: is || 'none' }];
  });
}
