import type { Endpoint, Engine } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { howEnded, logTailLines, waitUntilReady } from '../runtime/health.ts';
import { engineLabel, labelsFor, recordLabel, type Owner } from '../runtime/labels.ts';
import { packFiles } from '../runtime/small-tar.ts';
import type { Settings } from '../settings.ts';
import type { Tools } from './context.ts';
import type { Plan, PlannedVolume } from './plan.ts';
import { encodeRecord } from './record.ts';

/** A database that serves. */
export interface Database {
  /** Of its container. */
  readonly id: string;
  readonly engine: Engine;
  readonly endpoint: Endpoint;
  /** As the container engine has it. */
  readonly startedAt: string;
  /** The port published on the host, to be published again; in a network there may be none. */
  readonly hostPort: number | undefined;
  /** What it writes to. */
  readonly volumes: readonly PlannedVolume[];
}

/**
 * Creates the container on these volumes, starts it, and waits until the database truly serves.
 * @param hostPort 0: the engine chooses
 * @param how `initialise`: the volume is empty, init files are wanted
 * @throws `container-unhealthy`, `port-taken`
 */
export async function launch(
  { runtime, clock }: Tools,
  plan: Plan,
  settings: Settings,
  owner: Owner,
  volumes: readonly PlannedVolume[],
  hostPort: number,
  how: { readonly initialise: boolean },
  signal: AbortSignal,
): Promise<Database> {
  const { engine, credentials, containerPort } = plan;
  const published = settings.network === undefined || settings.port !== undefined;
  // Without the signal: an aborted request may leave what is looked for before it is there.
  signal.throwIfAborted();
  const id = await runtime.createContainer({
    name: plan.containerName,
    image: plan.image.reference,
    labels: {
      ...labelsFor(owner, 'database'),
      [engineLabel]: engine.id,
      [recordLabel]: encodeRecord(plan, settings),
    },
    env: plan.containerEnv,
    ...(engine.entrypoint && { entrypoint: engine.entrypoint }),
    ...(plan.args.length > 0 && { command: plan.args }),
    mounts: volumes.map(({ volume, mountPath }) => ({
      type: 'volume',
      source: volume,
      target: mountPath,
    })),
    ...(published && { publish: { containerPort, hostPort } }),
    ...(settings.network !== undefined && { network: settings.network }),
    ...(settings.memoryBytes !== undefined && { memoryBytes: settings.memoryBytes }),
    ...(settings.shmBytes !== undefined && { shmBytes: settings.shmBytes }),
  });
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
    const how = state?.running ? 'has not published its port' : howEnded(state);
    throw new AppError('container-unhealthy', `the database ${how} right after it was ready`, {
      hint: 'Look at its last log lines, printed with this error',
      details: await runtime.logs(id, logTailLines),
    });
  }
  const { host, port } =
    settings.network === undefined && boundPort !== undefined
      ? { host: info.host, port: boundPort }
      : { host: plan.containerName, port: containerPort };
  return {
    ...{ id, engine, volumes, endpoint: { ...credentials, host, port } },
    ...{ hostPort: boundPort, startedAt: state.startedAt },
  };
}
