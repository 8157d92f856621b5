import { secondsSince } from '../clock.ts';
import { AppError, toAppError } from '../errors.ts';
import {
  cloneLabels,
  cloneMethodLabel,
  cloneOfLabel,
  cloneOfRunLabel,
  cloneRunLabels,
  engineLabel,
  goldenLabel,
  goldenRootLabel,
  labelsFor,
  recordLabel,
  runLabel,
  runLabels,
  volumeNameLabel,
  type Owner,
} from '../runtime/labels.ts';
import type { ContainerState, Labels } from '../runtime/runtime.ts';
import { CloneUnavailable, type CloneMethod } from '../runtime/volume-cloner.ts';
import type { Tools } from './context.ts';
import { copyFiles } from './container-files.ts';
import { launch } from './database.ts';
import { requireGolden } from './golden.ts';
import { isSecret } from './mask-password.ts';
import { cleanUp, forgetStarting } from './remove.ts';
import { cloneRecord } from './record.ts';
import type { ClonedDatabase } from './report.ts';
import { requireNameFree, requireStarted } from './started.ts';
import { readStarted, type StartedSource } from './started-source.ts';
import { noteStarting } from './starting.ts';
import { cloneVolumes } from './volume-clones.ts';

export interface CloneRequest {
  /** The database to clone, and under which run the clones are made. */
  readonly owner: Owner;
  readonly count: number;
  readonly waitTimeoutMs: number;
}

export interface CloneReport {
  readonly name: string;
  readonly clones: readonly ClonedDatabase[];
  readonly seconds: number;
}

/**
 * Makes databases of their own from what a started one was made of: `NAME-1` to `NAME-<count>`, each with its own volumes
 * and its own port. When it resolves all of them serve; when it rejects, none is left. They go with the first one.
 * @throws `container-missing`; `name-taken`; `invalid-settings` for a database that was started with `reset: off`;
 *   `container-unhealthy`
 */
export async function clone(
  tools: Tools,
  request: CloneRequest,
  signal: AbortSignal,
): Promise<CloneReport> {
  const { runtime, clock } = tools;
  const { owner } = request;
  const startMs = clock.monotonicMs();
  await noteStarting(runtime, owner);
  try {
    const { scope, name } = owner;
    const container = await requireStarted(runtime, { scope, name }, signal);
    const clones = await makeClones(tools, request, container, signal);
    await forgetStarting(runtime, runLabels(owner.run));
    return { name: owner.name, clones, seconds: secondsSince(clock, startMs) };
  } catch (error) {
    await cleanUp(tools, owner.run);
    throw toAppError(error);
  }
}

/**
 * The same within a run that is noted already. When it rejects, the caller removes what that run has made.
 * @param container of the database
 */
export async function makeClones(
  tools: Tools,
  { owner, count, waitTimeoutMs }: CloneRequest,
  container: ContainerState,
  signal: AbortSignal,
): Promise<readonly ClonedDatabase[]> {
  const { runtime } = tools;
  const { scope, name, run } = owner;
  const source = await readStarted(tools, container, { name, key: '' }, signal);
  await requireGolden(runtime, source, signal);
  const owners = Array.from({ length: count }, (_, at) => ({
    scope,
    run,
    name: `${name}-${at + 1}`,
  }));
  await Promise.all(owners.map((each) => requireNameFree(runtime, each, signal)));
  const cloning = owners.map((each) =>
    cloneOne(tools, source, container, each, waitTimeoutMs, signal),
  );
  await Promise.allSettled(cloning);
  return Promise.all(cloning);
}

async function cloneOne(
  tools: Tools,
  source: StartedSource,
  origin: ContainerState,
  owner: Owner,
  waitTimeoutMs: number,
  signal: AbortSignal,
): Promise<ClonedDatabase> {
  const { engine, image, record, endpoint } = source;
  const { isPublished } = record;
  const base = `snapvol-${owner.name}-${owner.run.slice(0, 8)}`;
  const ofClone = {
    ...cloneLabels(owner.scope, origin.labels[cloneOfLabel] ?? source.name),
    ...cloneRunLabels(origin.labels[cloneOfRunLabel] ?? origin.labels[runLabel] ?? ''),
  };
  const wanted = {
    ...{ engine, credentials: endpoint, waitTimeoutMs, anyPort: true },
    volumes: await volumesFor(
      tools,
      source,
      base,
      { ...labelsFor(owner, 'volume'), ...ofClone },
      signal,
    ),
    spec: {
      ...{ name: base, image: image.id, env: withoutHost(origin.env), entrypoint: origin.command },
      labels: {
        ...labelsFor(owner, 'database'),
        ...ofClone,
        [engineLabel]: engine.id,
        [recordLabel]: cloneRecord(record),
      },
      ...record.container,
    },
    putFiles: (id: string) => copyFiles(tools.runtime, origin.id, id, record.files, signal),
    containerPort: engine.port(image),
    hostPort: isPublished ? 0 : undefined,
  };
  const database = await launch(tools, wanted, signal);
  const url = engine.url(database.endpoint);
  if (isSecret(engine, endpoint.password)) tools.log.mask(url);
  tools.log.info(`${owner.name} serves at ${database.endpoint.host}:${database.endpoint.port}`);
  return { name: owner.name, container: database.id, endpoint: database.endpoint, url };
}

/** Podman tells each container its own name in its environment. */
function withoutHost(env: ContainerState['env']): ContainerState['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name !== 'HOSTNAME'));
}

/** Made in the way that has worked for the database itself. */
async function volumesFor(
  tools: Tools,
  { volumes, image, engine }: StartedSource,
  base: string,
  labels: Labels,
  signal: AbortSignal,
): Promise<StartedSource['volumes']> {
  const golden = volumes.map(({ name, mountPath, labels: own }) => ({
    ...{ name, mountPath, volume: own[goldenLabel] ?? '' },
    labels: {
      ...{ ...labels, [volumeNameLabel]: name, [engineLabel]: engine.id },
      ...(own[goldenRootLabel] !== undefined && { [goldenRootLabel]: own[goldenRootLabel] }),
    },
  }));
  const method = volumes[0]?.labels[cloneMethodLabel] as CloneMethod; // written by cloneVolumes
  const nameOf = ({ name }: { readonly name: string }): string => `${base}-${name}`;
  try {
    return await cloneVolumes(tools, golden, nameOf, image.id, method, signal);
  } catch (error) {
    if (!(error instanceof CloneUnavailable)) throw error;
    throw new AppError('copy-failed', `the volumes cannot be cloned: ${error.message}`, {
      cause: error,
    });
  }
}
