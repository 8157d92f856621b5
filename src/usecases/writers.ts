import type { Credentials, Engine } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { askOnce, ready, type Readiness } from '../runtime/health.ts';
import type { ContainerRuntime, ContainerState, ImageFacts } from '../runtime/runtime.ts';
import type { Storage } from '../runtime/volume-copier.ts';
import { engineOf, uncleanProgram, unknownProgram, credentialsIn } from '../settings.ts';
import { longestPrefix } from '../paths.ts';
import { startCommand, stopCommand } from './orchestrators.ts';
import type { DataSource } from './probes.ts';
import { projectLabel } from './sources.ts';

/** A container that can write to what is saved, and how its program is brought to rest. */
export interface VolumeWriter {
  readonly container: ContainerState;
  readonly image: ImageFacts;
  readonly target: DataSource;
  /** What it has answered well; absent where it cannot be asked. */
  readonly readiness: Readiness | undefined;
}

/** True for a container that has one of `storages` mounted, or a part of it, or a folder around it. */
export function uses({ mounts }: ContainerState, storages: readonly Storage[]): boolean {
  return mounts.some((mount) => storages.some((storage) => overlaps(mount, storage)));
}

export function overlaps(mount: Storage, { type, source }: Storage): boolean {
  if (mount.type !== type) return false;
  if (type === 'volume') return mount.source === source;
  return [mount.source, source].some(
    (folder, i, pair) => longestPrefix([folder], pair[1 - i] ?? '') !== undefined,
  );
}

/**
 * Those that run and may write, in the order in which they are to be stopped: each before what it needs. One that has
 * it mounted read-only changes nothing, and goes on.
 */
export function findWriters(
  containers: readonly ContainerState[],
  storages: readonly Storage[],
): ContainerState[] {
  const writers = containers.filter((each) => each.running && mayWrite(each, storages));
  return dependantsFirst(writers, containers);
}

function mayWrite({ mounts }: ContainerState, storages: readonly Storage[]): boolean {
  return mounts.some(
    (mount) => !mount.readOnly && storages.some((storage) => overlaps(mount, storage)),
  );
}

/**
 * To be asked when all is copied. One that was started meanwhile may have written to it, whether it still runs or not.
 * @param before all containers, as they were when the writers were looked for
 * @throws `unclean-shutdown`
 */
export async function refuseNewWriters(
  runtime: ContainerRuntime,
  before: readonly ContainerState[],
  storages: readonly Storage[],
  signal: AbortSignal,
): Promise<void> {
  const known = new Set(before.map(({ id, startedAt }) => `${id} ${startedAt}`));
  const writer = (await runtime.listContainers({}, signal)).find(
    (each) =>
      each.everStarted && !known.has(`${each.id} ${each.startedAt}`) && mayWrite(each, storages),
  );
  if (!writer) return;
  throw new AppError(
    'unclean-shutdown',
    `no snapshot: ${writer.name} was started meanwhile, and may have written to what was copied`,
    { hint: 'Save again while nobody starts it' },
  );
}

/** Where a container writes that is to be at rest, and who writes there beside it. */
export interface Company {
  readonly storages: readonly Storage[];
  /** Ids. Without its own. */
  readonly others: readonly string[];
}

/** What `container` has mounted at these paths. */
export function storagesAt({ mounts }: ContainerState, paths: readonly string[]): Storage[] {
  const wanted = mounts.filter(({ target }) => paths.includes(target));
  return wanted.map(({ type, source }) => ({ type, source }));
}

/** @param storages that are copied: of them, those that `container` may write to */
export function companyOf(
  container: ContainerState,
  containers: readonly ContainerState[],
  storages: readonly Storage[],
): Company {
  const written = storages.filter((storage) => mayWrite(container, [storage]));
  const others = containers.filter(
    (each) => each.id !== container.id && each.running && mayWrite(each, written),
  );
  return { storages: written, others: others.map(({ id }) => id) };
}

/**
 * To be asked before a container goes on that was at rest. Two servers that do not know of each other lose what both write,
 * so that it is left as it is beside one that has come meanwhile, from whomever.
 * @param company as it was when it was brought to rest
 * @throws `container-unhealthy`
 */
export async function refuseBesideNew(
  runtime: ContainerRuntime,
  container: Pick<ContainerState, 'id' | 'name' | 'labels'>,
  { storages, others }: Company,
  left: 'stopped' | 'paused' | 'running',
): Promise<void> {
  const { id, name } = container;
  const newcomer = (await runtime.listContainers({})).find(
    (each) =>
      each.running && each.id !== id && !others.includes(each.id) && mayWrite(each, storages),
  );
  if (!newcomer) return;
  const shared = storages.filter((storage) => mayWrite(newcomer, [storage]));
  const goOn = { stopped: startCommand(container), paused: `docker unpause ${name}`, running: '' };
  const thenGoOn = goOn[left] && ` and then "${goOn[left]}"`;
  throw new AppError(
    'container-unhealthy',
    `the container ${name} is left ${left}: ${newcomer.name} was started meanwhile, and may write to ${shared.map(({ source }) => source).join(', ')} as well`,
    {
      hint: `Let one of them have it: "${stopCommand(newcomer)}"${thenGoOn}, or "docker rm --force ${name}"`,
    },
  );
}

/**
 * Databases that have ended already: their files are looked at as well. Not those whose files a running one has now,
 * nor those that never ran.
 */
export function findEnded(
  containers: readonly ContainerState[],
  storages: readonly Storage[],
  running: readonly ContainerState[],
): ContainerState[] {
  const inUse = storages.filter((storage) => running.some((each) => uses(each, [storage])));
  const idle = storages.filter((storage) => !inUse.includes(storage));
  return containers.filter((each) => !each.running && each.everStarted && uses(each, idle));
}

/**
 * Where the engine is known by its image and its data is among what is saved, that one; else a program like any other.
 * @param login what the user knows better than the container's own environment
 */
export async function describeWriter(
  runtime: ContainerRuntime,
  container: ContainerState,
  storages: readonly Storage[],
  login: Partial<Credentials>,
  signal: AbortSignal,
): Promise<VolumeWriter> {
  const image = {
    ...(await runtime.ensureImage(container.imageId, signal)),
    reference: container.image,
  };
  const mountPaths = container.mounts
    .filter((mount) => storages.some((storage) => overlaps(mount, storage)))
    .map(({ target }) => target);
  const known = engineOf(container.image);
  const dataPath = known?.location(image, container.env).dataPath;
  const held = dataPath !== undefined && longestPrefix(mountPaths, dataPath) !== undefined;
  const engine: Engine = known && held ? known : unknownProgram(container.stopSignal);
  const target: DataSource = {
    ...{ id: container.id, engine, mountPaths },
    endpoint: {
      ...credentialsIn(engine, container.env, container.command),
      ...login,
      ...{ host: container.name, port: 0 },
    },
    dataPath: held ? dataPath : (mountPaths[0] ?? '/'),
  };
  const readiness = engine.readiness(target.endpoint);
  const answer =
    container.running && engine.id !== 'generic'
      ? await askOnce(runtime, container.id, readiness, signal)
      : undefined;
  // One that must be told to write its data, and would not listen, must not be stopped.
  if (answer !== undefined && answer !== ready && engine.shutdown) {
    throw new AppError(
      'container-unhealthy',
      `${container.name} (${engine.id}) does not answer as it should: ${answer}`,
      { hint: 'Where it wants a password that its environment does not tell, set "password"' },
    );
  }
  return { container, image, target, readiness: answer === ready ? readiness : undefined };
}

/**
 * Whose exit code does not count, of all containers.
 * @param names of containers, or services of compose (of `project`, where one is saved)
 * @throws `invalid-settings` for a name that nobody has
 */
export function findAllowed(
  containers: readonly ContainerState[],
  names: readonly string[],
  project: string | undefined,
): ContainerState[] {
  return names.flatMap((wanted) => {
    const found = containers.filter(
      (each) =>
        isNamed(each, wanted) ||
        (each.labels[`${composeLabel}service`] === wanted &&
          (project === undefined || each.labels[projectLabel] === project)),
    );
    if (found.length > 0) return found;
    throw new AppError(
      'invalid-settings',
      `allow-unclean: there is neither a container nor a service of compose named ${wanted}`,
      { hint: '"docker ps --all" lists the containers' },
    );
  });
}

/** @throws `invalid-settings` for a database: what it has not written at its end would be missing */
export function allowUncleanEnd(writer: VolumeWriter): VolumeWriter {
  const { container, target } = writer;
  if (target.engine.id !== 'generic') {
    throw new AppError(
      'invalid-settings',
      `allow-unclean: ${container.name} is a database (${target.engine.id}), which must end cleanly`,
      { hint: 'Name only containers that keep nothing of worth in the volumes' },
    );
  }
  return { ...writer, target: { ...target, engine: uncleanProgram } };
}

/** Containers that share the network or the processes of one that is stopped: they have to be restarted as well. */
export function findJoined(
  containers: readonly ContainerState[],
  stopped: readonly ContainerState[],
): ContainerState[] {
  return containers.filter(
    (each) =>
      each.running &&
      !stopped.includes(each) &&
      each.joins.some((need) => stopped.some((other) => isNamed(other, need))),
  );
}

/** In what is between two of them, too, those that are not among `writers` count. */
function dependantsFirst(
  writers: readonly ContainerState[],
  containers: readonly ContainerState[],
): ContainerState[] {
  const ordered: ContainerState[] = [];
  const seen = new Set<ContainerState>();
  const visit = (container: ContainerState): void => {
    if (seen.has(container)) return; // also the end of a circle, which has no right order
    seen.add(container);
    for (const other of newestFirst(containers)) if (needs(other, container)) visit(other);
    if (writers.includes(container)) ordered.push(container);
  };
  // Without a word on who needs whom: what was started later may need what was there before.
  for (const writer of newestFirst(writers)) visit(writer);
  return ordered;
}

function newestFirst(containers: readonly ContainerState[]): ContainerState[] {
  return containers.toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
}

function needs(container: ContainerState, other: ContainerState): boolean {
  return (
    container.needs.some((need) => isNamed(other, need)) || composeNeeds(container).some(is(other))
  );
}

function isNamed({ id, name }: ContainerState, wanted: string): boolean {
  return name === wanted || (wanted.length >= 12 && id.startsWith(wanted));
}

interface Service {
  readonly project: string;
  readonly service: string;
}

const composeLabel = 'com.docker.compose.';

/** `db:service_healthy:false,cache:service_started:false` */
function composeNeeds({ labels }: ContainerState): Service[] {
  const project = labels[projectLabel];
  if (project === undefined) return [];
  return (labels[`${composeLabel}depends_on`] ?? '')
    .split(',')
    .map((each) => ({ project, service: each.replace(/:.*$/s, '') }))
    .filter(({ service }) => service !== '');
}

function is({ labels }: ContainerState) {
  return ({ project, service }: Service): boolean =>
    labels[projectLabel] === project && labels[`${composeLabel}service`] === service;
}
