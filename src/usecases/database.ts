import type { Credentials, Endpoint, Engine } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { howEnded, logTailLines, waitUntilReady } from '../runtime/health.ts';
import type { ContainerSpec } from '../runtime/runtime.ts';
import type { Tools } from './context.ts';
import type { PlannedVolume } from './plan.ts';

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
  /** What its engine's readiness command has printed when it was ready. */
  readonly printed: string;
  /** What it writes to. */
  readonly volumes: readonly PlannedVolume[];
}

/** How a database's container is made and reached. */
export interface Launch {
  readonly engine: Engine;
  readonly credentials: Credentials;
  readonly spec: Omit<ContainerSpec, 'mounts' | 'publish'>;
  readonly volumes: readonly PlannedVolume[];
  readonly containerPort: number;
  /** On the host; 0: the engine chooses. Absent: it is reached in its network alone. */
  readonly hostPort: number | undefined;
  /** Where the port was taken meanwhile, another one will do. */
  readonly anyPort: boolean;
  /** Puts files into the container, before it is started. */
  readonly putFiles: (id: string) => Promise<void>;
  readonly waitTimeoutMs: number;
}

/** A free port may be taken by somebody else before it is used: how many are tried. */
const freePorts = 3;

/**
 * Creates the container on its volumes, starts it, and waits until the database truly serves.
 * @throws `container-unhealthy`, `port-taken`
 */
export async function launch(tools: Tools, wanted: Launch, signal: AbortSignal): Promise<Database> {
  for (let tried = 1, { hostPort } = wanted; ; tried++, hostPort = 0) {
    try {
      return await launchOn(tools, { ...wanted, hostPort }, signal);
    } catch (error) {
      const isTaken = error instanceof AppError && error.code === 'port-taken';
      if (!wanted.anyPort || !isTaken || tried === freePorts) throw error;
      tools.log.info(`${error.message}: another one is tried`);
      await tools.runtime.removeContainer(wanted.spec.name);
    }
  }
}

async function launchOn(
  { runtime, clock }: Tools,
  wanted: Launch,
  signal: AbortSignal,
): Promise<Database> {
  const { engine, credentials, spec, volumes, containerPort, hostPort } = wanted;
  // Without the signal: an aborted request may leave what is looked for before it is there.
  signal.throwIfAborted();
  const id = await runtime.createContainer({
    ...spec,
    mounts: volumes.map(({ volume, mountPath }) => ({
      type: 'volume',
      source: volume,
      target: mountPath,
    })),
    ...(hostPort !== undefined && { publish: { containerPort, hostPort } }),
  });
  await wanted.putFiles(id);
  await runtime.startContainer(id, signal);
  const readiness = engine.readiness(credentials);
  const { waitTimeoutMs } = wanted;
  const printed = await waitUntilReady(runtime, clock, id, readiness, waitTimeoutMs, signal);

  const [state, info] = await Promise.all([runtime.inspectContainer(id, signal), runtime.info()]);
  const boundPort = state?.hostPort;
  if (state?.running !== true || (hostPort !== undefined && boundPort === undefined)) {
    const how = state?.running ? 'has not published its port' : howEnded(state);
    throw new AppError('container-unhealthy', `the database ${how} right after it was ready`, {
      hint: 'Look at its last log lines, printed with this error',
      details: await runtime.logs(id, logTailLines),
    });
  }
  const { host, port } =
    spec.network === undefined && boundPort !== undefined
      ? { host: info.host, port: boundPort }
      : { host: spec.networkAlias ?? spec.name, port: containerPort };
  return {
    ...{ id, engine, volumes, endpoint: { ...credentials, host, port } },
    ...{ hostPort: boundPort, startedAt: state.startedAt, printed },
  };
}
