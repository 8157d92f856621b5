import { extractOne, packFiles } from '../runtime/small-tar.ts';
import type { Endpoint, Env } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { logTailLines, waitUntilReady } from '../runtime/health.ts';
import { engineLabel, labelsFor, recordLabel, type Owner } from '../runtime/labels.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import type { Settings } from '../settings.ts';
import type { Tools } from './context.ts';
import type { Plan } from './plan.ts';
import { encodeRecord } from './record.ts';

/** A database that serves. */
export interface Database {
  readonly id: string;
  readonly endpoint: Endpoint;
  /** The port published on the host, to be published again; in a network there may be none. */
  readonly hostPort: number | undefined;
}

/**
 * Creates the container on the planned volumes, starts it, and waits until the database truly serves.
 * @param hostPort 0: the engine chooses
 * @param how `initialise`: the volume is empty, init files are wanted
 * @throws `container-unhealthy`, `port-taken`
 */
export async function launch(
  { runtime, clock }: Tools,
  plan: Plan,
  settings: Settings,
  owner: Owner,
  hostPort: number,
  how: { readonly initialise: boolean },
  signal: AbortSignal,
): Promise<Database> {
  const { engine, credentials, containerPort } = plan;
  const published = settings.network === undefined || settings.port !== undefined;
  const id = await runtime.createContainer(
    {
      name: plan.containerName,
      image: plan.image.reference,
      labels: {
        ...labelsFor(owner, 'database'),
        [engineLabel]: engine.id,
        [recordLabel]: encodeRecord(plan, settings),
      },
      env: plan.containerEnv,
      ...(plan.args.length > 0 && { command: plan.args }),
      mounts: plan.volumes.map(({ volume, mountPath }) => ({
        type: 'volume',
        source: volume,
        target: mountPath,
      })),
      ...(published && { publish: { containerPort, hostPort } }),
      ...(settings.network !== undefined && { network: settings.network }),
      ...(settings.memoryBytes !== undefined && { memoryBytes: settings.memoryBytes }),
      ...(settings.shmBytes !== undefined && { shmBytes: settings.shmBytes }),
    },
    signal,
  );
  if (how.initialise && engine.initPath !== undefined && plan.initFiles.length > 0) {
    await runtime.putArchive(id, '/', packFiles(engine.initPath, plan.initFiles), signal);
  }
  await runtime.startContainer(id, signal);
  await waitUntilReady(
    runtime,
    clock,
    id,
    engine.readiness(credentials),
    settings.waitTimeoutMs,
    signal,
  );

  const [state, info] = await Promise.all([runtime.inspectContainer(id, signal), runtime.info()]);
  const boundPort = state?.hostPort;
  if (state?.running !== true || (published && boundPort === undefined)) {
    throw new AppError('container-unhealthy', 'the database has stopped right after it was ready', {
      details: await runtime.logs(id, logTailLines),
    });
  }
  const { host, port } =
    settings.network === undefined && boundPort !== undefined
      ? { host: info.host, port: boundPort }
      : { host: plan.containerName, port: containerPort };
  return { id, endpoint: { ...credentials, host, port }, hostPort: boundPort };
}

/** What the data folder of a stopped database says of itself, and how the server ended. */
export interface CleanStop {
  readonly exitCode: number;
  readonly mark: string;
  readonly dataVersion: string | null;
}

/**
 * Stops the database so that its volumes can be copied.
 * @throws `unclean-shutdown` when it did not end by itself with exit code 0, or its data is not marked as shut down
 */
export async function stopCleanly(
  { runtime }: Tools,
  plan: Pick<Plan, 'engine' | 'dataPath'>,
  id: string,
  graceMs: number,
): Promise<CleanStop> {
  const exitCode = await runtime.stopContainer(id, graceMs);
  if (exitCode !== 0) {
    const killed = exitCode === 137;
    throw new AppError(
      'unclean-shutdown',
      `the database ended with exit code ${exitCode}${killed ? ` (killed: it did not stop within ${graceMs / 1000} s)` : ''}, its data cannot be trusted`,
      {
        ...(killed && { hint: 'Raise "stop-timeout"' }),
        details: await runtime.logs(id, logTailLines),
      },
    );
  }
  const state = await plan.engine.dataState((path) =>
    readFile(runtime, id, `${plan.dataPath}/${path}`),
  );
  if (state.problem !== undefined) {
    throw new AppError('unclean-shutdown', `no snapshot of ${plan.dataPath}: ${state.problem}`, {
      details: await runtime.logs(id, logTailLines),
    });
  }
  return { exitCode, mark: state.mark, dataVersion: state.version };
}

/** The connection in environment variables, for `seed` and `check`. */
export function scriptEnv(plan: Plan, { id, endpoint }: Database): Env {
  return {
    DATABASE_URL: plan.engine.url(endpoint),
    SNAPVOL_HOST: endpoint.host,
    SNAPVOL_PORT: String(endpoint.port),
    SNAPVOL_USER: endpoint.user,
    SNAPVOL_PASSWORD: endpoint.password,
    SNAPVOL_DATABASE: endpoint.database,
    SNAPVOL_CONTAINER: id,
    ...plan.engine.clientEnv(endpoint),
  };
}

/**
 * Runs the user's `seed` or `check`, then looks whether the database still lives.
 * @throws `seed-failed`, `check-failed`
 */
export async function runUserScript(
  { runtime, runScript }: Tools,
  what: 'seed' | 'check',
  text: string,
  env: Env,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const code = what === 'seed' ? 'seed-failed' : 'check-failed';
  const exitCode = await runScript({ text, env }, signal);
  if (exitCode !== 0) {
    throw new AppError(code, `${what} failed with exit code ${exitCode}`, {
      hint: "Look at the script's own output, and at the last log lines of the database, printed with this error",
      details: await runtime.logs(id, logTailLines),
    });
  }
  const state = await runtime.inspectContainer(id, signal);
  if (!state?.running) {
    throw new AppError(
      code,
      `the database ended during ${what} (exit code ${state?.exitCode ?? '?'})`,
      {
        hint: 'Look at its last log lines, printed with this error',
        details: await runtime.logs(id, logTailLines),
      },
    );
  }
}

async function readFile(
  runtime: ContainerRuntime,
  id: string,
  path: string,
): Promise<Buffer | undefined> {
  const tar = await runtime.getArchive(id, path);
  return tar && extractOne(tar);
}
