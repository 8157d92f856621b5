import { stat } from 'node:fs/promises';

import { AppError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { longestPrefix } from '../paths.ts';
import { requireShared } from '../runtime/host-folder.ts';
import { copyLabels, foreignLabels } from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState, VolumeInfo } from '../runtime/runtime.ts';
import type { Storage } from '../runtime/volume-copier.ts';
import type { VolumeOrigin } from '../snapshot/manifest.ts';
import type { HelperImages } from './helper-images.ts';
import { isClone } from './volume-clones.ts';

// What a snapshot of volumes is made of: from names to volumes and folders, before anything is touched.

/** What is to be saved. All that is given is taken together, each volume once. */
export interface SourceRequest {
  /** Names of volumes, and absolute paths of folders on the engine's host. */
  readonly volumes: readonly string[];
  /** Name or id of a container: all its volumes. */
  readonly container: string | undefined;
  /** All volumes that carry the labels of this project. */
  readonly composeProject: string | undefined;
  /** Also the folders of the host that the container, or those of the project, have mounted. */
  readonly includeBinds: boolean;
}

export interface Source {
  /** In the snapshot. */
  readonly name: string;
  readonly storage: Storage;
  readonly origin: VolumeOrigin;
}

/** Labels of docker compose: https://docs.docker.com/reference/compose-file/ */
export const projectLabel = 'com.docker.compose.project';
const anonymousLabel = 'com.docker.volume.anonymous';

interface Context {
  readonly runtime: ContainerRuntime;
  readonly log: Log;
  readonly containers: readonly ContainerState[];
  readonly images: HelperImages;
  readonly signal: AbortSignal;
}

/** A volume, and the container that led to it, if one did. */
interface FoundVolume {
  readonly info: VolumeInfo;
  readonly mounted?: { readonly by: ContainerState; readonly at: string };
}

/**
 * @param context `containers`: all that there are
 * @throws `invalid-settings`, `container-missing`, `volume-missing`
 */
export async function resolveSources(context: Context, request: SourceRequest): Promise<Source[]> {
  const { container, composeProject, includeBinds } = request;
  const owner = container === undefined ? undefined : findContainer(context.containers, container);
  const project =
    composeProject === undefined ? undefined : await findProject(context, composeProject);
  const volumes: FoundVolume[] = [
    ...(await namedVolumes(
      context,
      request.volumes.filter((each) => !each.startsWith('/')),
    )),
    ...(owner ? await mountedVolumes(context, owner) : []),
    ...(project?.volumes ?? []).map((info) => ({ info })),
  ];
  const folders = [
    ...(await namedFolders(
      context,
      request.volumes.filter((each) => each.startsWith('/')),
    )),
    ...(await mountedFolders(
      context,
      [...(owner ? [owner] : []), ...(project?.members ?? [])],
      includeBinds,
    )),
  ];
  const nameFor = uniqueNames();
  const sources = [
    ...unique(volumes, ({ info }) => info.name).map((found) => volumeSource(found, nameFor)),
    ...outermost(
      context,
      unique(folders, (folder) => folder),
    ).map((folder) => folderSource(folder, nameFor)),
  ];
  if (sources.length > 0) return sources;
  throw new AppError('invalid-settings', 'there is nothing to save: no volume was found', {
    hint: 'Name volumes, or a container that has some; folders of the host need "include-binds"',
  });
}

async function namedVolumes(
  { runtime, signal }: Context,
  names: readonly string[],
): Promise<FoundVolume[]> {
  const volumes: FoundVolume[] = [];
  for (const name of names) {
    const info = await runtime.findVolume(name, signal);
    if (!info) {
      throw new AppError('volume-missing', `there is no volume named ${name}`, {
        hint: '"docker volume ls" lists them; a folder of the host is given by its absolute path',
      });
    }
    volumes.push({ info });
  }
  return volumes;
}

async function namedFolders(
  { runtime, images, signal }: Context,
  folders: readonly string[],
): Promise<string[]> {
  // Of those on another machine the engine there has to say.
  if (folders.length === 0 || !(await runtime.info()).mayShareFolders)
    return folders.map(withoutSlash);
  for (const folder of folders) {
    const stats = await stat(folder).catch((cause: unknown) => {
      throw new AppError('volume-missing', `cannot use the folder ${folder}: ${messageOf(cause)}`, {
        cause,
      });
    });
    if (!stats.isDirectory()) throw new AppError('invalid-settings', `${folder} is no folder`);
    const [storage, image] = [{ type: 'bind', source: folder } as const, await images.choose([])];
    await requireShared(runtime, { storage, image, labels: copyLabels({}) }, signal);
  }
  return folders.map(withoutSlash);
}

async function mountedVolumes(
  { runtime, signal }: Context,
  by: ContainerState,
): Promise<FoundVolume[]> {
  const volumes: FoundVolume[] = [];
  for (const { type, source, target: at } of by.mounts) {
    const info = type === 'volume' ? await runtime.findVolume(source, signal) : undefined;
    if (info) volumes.push({ info, mounted: { by, at } });
  }
  return volumes;
}

/** What is mounted from the host may be a file as well: a configuration, a socket. */
async function mountedFolders(
  { runtime, log, signal }: Context,
  members: readonly ContainerState[],
  wanted: boolean,
): Promise<string[]> {
  const folders: string[] = [];
  for (const { id, name, mounts } of members) {
    for (const { source, target } of mounts.filter(({ type }) => type === 'bind')) {
      const what = `${source}, which ${name} has mounted from the host`;
      if (!wanted) log.info(`left out: ${what} ("include-binds" takes it along)`);
      else if ((await runtime.stat(id, target, signal))?.type === 'folder') folders.push(source);
      else log.info(`left out: ${what}: it is no folder`);
    }
  }
  return folders;
}

/** What is in a folder is saved with it. */
function outermost({ log }: Context, folders: readonly string[]): string[] {
  return folders.filter((folder) => {
    const others = folders.filter((other) => other !== folder);
    const around = longestPrefix(others, folder);
    if (around !== undefined) log.info(`left out: ${folder} is saved with ${around}`);
    return around === undefined;
  });
}

async function findProject({ runtime, log, containers, signal }: Context, project: string) {
  const volumes = await runtime.listVolumes({ [projectLabel]: project }, signal);
  const members = containers.filter(({ labels }) => labels[projectLabel] === project);
  if (volumes.length + members.length === 0) throw noProject(project, containers);
  const own = new Set(volumes.map(({ name }) => name));
  const others = members.flatMap(({ name, mounts }) =>
    mounts
      .filter(({ type, source }) => type === 'volume' && !own.has(source))
      .map(({ source, target }) => `${source} (${name} at ${target})`),
  );
  for (const other of new Set(others)) {
    log.info(`left out: the volume ${other} is not the project's own ("volumes" takes it along)`);
  }
  return { volumes, members };
}

function volumeSource({ info, mounted }: FoundVolume, nameFor: (wanted: string) => string): Source {
  // A clone is mounted over volumes of this run: what is in it is all that can be made again.
  const { driver, options } = isClone(info) ? { driver: 'local', options: {} } : info;
  const { [anonymousLabel]: mark, ...labels } = foreignLabels(info.labels);
  const anonymous = mark !== undefined || /^[0-9a-f]{64}$/.test(info.name);
  // Nobody knows an anonymous volume by its name: it is restored under one that tells whose it was.
  const name = nameFor(anonymous && mounted ? `${mounted.by.name}-${slug(mounted.at)}` : info.name);
  return {
    name,
    storage: { type: 'volume', source: info.name },
    origin: {
      ...{ type: 'volume', volume: anonymous ? name : info.name },
      ...{ driver, options, labels },
    },
  };
}

function folderSource(folder: string, nameFor: (wanted: string) => string): Source {
  return {
    name: nameFor(slug(folder)),
    storage: { type: 'bind', source: folder },
    origin: { type: 'bind', folder },
  };
}

/** Names of files in the bundle: each once. */
function uniqueNames(): (wanted: string) => string {
  const taken = new Set<string>();
  return (wanted) => {
    const clean = wanted.replace(/^[^A-Za-z0-9]+/, '').slice(0, 200) || 'root';
    let name = clean;
    for (let n = 2; taken.has(name); n++) name = `${clean}-${n}`;
    taken.add(name);
    return name;
  };
}

export function findContainer(
  containers: readonly ContainerState[],
  wanted: string,
): ContainerState {
  const found =
    containers.find(({ name, id }) => name === wanted || id === wanted) ??
    onlyOne(containers.filter(({ id }) => /^[0-9a-f]{6,}$/.test(wanted) && id.startsWith(wanted)));
  if (found) return found;
  const names = containers.map(({ name }) => name).sort();
  throw new AppError('container-missing', `there is no container ${wanted}`, {
    hint:
      names.length === 0 ? 'There is none at all' : `There is: ${names.slice(0, 10).join(', ')}`,
  });
}

function onlyOne<T>(values: readonly T[]): T | undefined {
  return values.length === 1 ? values[0] : undefined;
}

function noProject(project: string, containers: readonly ContainerState[]): AppError {
  const projects = new Set(
    containers.map(({ labels }) => labels[projectLabel]).filter((name) => name !== undefined),
  );
  return new AppError(
    'container-missing',
    `there is neither a volume nor a container of the compose project ${project}`,
    {
      hint:
        projects.size === 0
          ? 'No container carries the labels of compose'
          : `There is: ${[...projects].sort().join(', ')}`,
    },
  );
}

/** `/var/lib/data` -> `var-lib-data` */
function slug(path: string): string {
  return path.replaceAll(/[^A-Za-z0-9_.-]+/g, '-').replaceAll(/^-+|-+$/g, '');
}

function unique<T>(values: readonly T[], by: (value: T) => string): T[] {
  return [...new Map(values.toReversed().map((value) => [by(value), value])).values()].toReversed();
}

function withoutSlash(folder: string): string {
  return folder.replace(/(?<=.)\/+$/, '');
}
