import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import type { Environment } from '../docker-config.ts';
import { AppError, messageOf } from '../errors.ts';
import type { FindLogin, RegistryLogin } from '../registry-login.ts';
import {
  abortable,
  askVersion,
  createClient,
  pull,
  refuseFailure,
  upload,
  waitForEnd,
} from './docker-client.ts';
import { endSilence, engineLimits, type EngineLimits } from './docker-deadlines.ts';
import { findEndpoint } from './docker-endpoint.ts';
import { statusOf, translateDockerError, translatePullError } from './docker-errors.ts';
import { linesOf, unframe } from './docker-frames.ts';
import { rootInArchives, withInnerOwners } from './docker-owners.ts';
import {
  containerState,
  createOptions,
  envList,
  imageFacts,
  isImageId,
  carries,
  labelFilter,
  labelInstruction,
  labelsOf,
  registryOf,
  statInHeader,
  volumeInfo,
  withTag,
} from './docker-shapes.ts';
import { selfLabel } from './labels.ts';
import { anyPort, findFreePort, isPortFree, processListeningOn } from './ports.ts';
import { packTar } from './small-tar.ts';
import type { Owners } from './tar-head.ts';
import type {
  ContainerRuntime,
  ContainerSpec,
  ContainerState,
  Labels,
  VolumeInfo,
} from './runtime.ts';

const execOutputLimitBytes = 64 * 1024;

export interface DockerSettings {
  readonly env: Environment;
  readonly findLogin: FindLogin;
  /** How long the engine may take for its answers. */
  readonly limits?: EngineLimits;
}

/**
 * The container verbs on dockerode.
 * @throws as {@link findEndpoint} does
 */
export function connectDocker({
  env,
  findLogin,
  limits = engineLimits,
}: DockerSettings): ContainerRuntime {
  const endpoint = findEndpoint(env);
  const { where, remoteHost } = endpoint;
  const docker = createClient(endpoint, limits);
  const local = remoteHost === undefined;
  /** As {@link rootInArchives} has it. */
  let root: Owners | undefined;

  /** What a failed engine call means. An aborted one can fail in many ways. */
  function translate(what: string, error: unknown, signal?: AbortSignal): AppError {
    return signal?.aborted ? cancelled(what, error) : translateDockerError(what, error, where);
  }

  /** Runs one engine call and translates its failure. */
  async function call<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      // Not every call of dockerode looks at the signal.
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      throw translate(what, error, signal);
    }
  }

  /** As `call`, but an engine's "there is none" is `undefined`. */
  async function find<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
    absent: readonly number[] = [404],
  ): Promise<T | undefined> {
    return call(what, signal, async () => {
      try {
        return await work();
      } catch (error) {
        if (absent.includes(statusOf(error) ?? 0)) return undefined;
        throw error;
      }
    });
  }

  /** Of the containers that were seen: an id tells nobody which one it is. */
  const names = new Map<string, string>();
  const theContainer = (id: string): string => `the container ${names.get(id) ?? id.slice(0, 12)}`;

  // Names may be anything that somebody has typed: the engine is to say what is wrong with them.
  const volumeOf = (name: string) => docker.getVolume(encodeURIComponent(name));
  const imageOf = (name: string) =>
    docker.getImage(encodeURI(name).replaceAll('?', '%3F').replaceAll('#', '%23'));

  async function findVolume(name: string, signal?: AbortSignal): Promise<VolumeInfo | undefined> {
    if (name.includes('/')) return undefined; // it would lead elsewhere in the API
    const found = await find(`look for the volume ${name}`, signal, () =>
      volumeOf(name).inspect({ ...abortable(signal) }),
    );
    return found && volumeInfo(found);
  }

  const findImage = (name: string, signal?: AbortSignal) =>
    find(
      `look for the image ${name}`,
      signal,
      () => imageOf(name).inspect({ ...abortable(signal) } as object),
      [404, 400], // 400: there can be none of this name
    );

  async function inspectContainer(
    id: string,
    signal?: AbortSignal,
  ): Promise<ContainerState | undefined> {
    const found = await find(`inspect ${theContainer(id)}`, signal, () =>
      docker.getContainer(id).inspect({ ...abortable(signal) } as object),
    );
    if (!found) return undefined;
    const state = containerState(found);
    names.set(state.id, state.name);
    return state;
  }

  async function archiveOf(id: string, path: string, signal?: AbortSignal): Promise<Readable> {
    const stream = await docker.getContainer(id).getArchive({ path, ...abortable(signal) });
    const silent = new AppError(
      'copy-failed',
      `nothing came of ${path} in ${theContainer(id)} for ${limits.silenceMs / 1000} s`,
    );
    endSilence(stream, limits.silenceMs, silent);
    return stream instanceof Readable ? stream : new Readable().wrap(stream);
  }

  /** The running container that publishes `port`, else the process that listens on it. */
  async function holderOf(port: number): Promise<string | undefined> {
    const containers = await docker.listContainers();
    const holder = containers.find((c) => c.Ports.some((p) => p.PublicPort === port));
    if (holder) return `container ${holder.Names[0]?.replace(/^\//, '') ?? holder.Id}`;
    return local ? processListeningOn(port) : undefined;
  }

  /** Test data is nobody else's business: a local engine publishes to this machine only. */
  async function publishedAt({ publish }: ContainerSpec) {
    const hostPort = publish?.hostPort ?? 0;
    const hostIp = local ? '127.0.0.1' : '';
    if (!publish || hostPort !== 0) return { hostIp, hostPort };
    // A port that the engine chooses changes at each start; one chosen here stays.
    return { hostIp, hostPort: local ? await findFreePort() : anyPort() };
  }

  async function portTakenError(id: string, cause: unknown): Promise<AppError | undefined> {
    const { HostConfig } = await docker.getContainer(id).inspect();
    const bindings = Object.values(
      (HostConfig.PortBindings ?? {}) as Record<string, { HostPort?: string }[]>,
    );
    const port = Number(bindings[0]?.[0]?.HostPort ?? 0);
    if (port === 0) return undefined;
    const holder = await holderOf(port);
    const isFree = (): Promise<boolean> | boolean =>
      local ? isPortFree(port) : !/address already in use/.test(messageOf(cause));
    if (holder === undefined && (await isFree())) return undefined;
    return new AppError('port-taken', `port ${port} is taken${holder ? ` by ${holder}` : ''}`, {
      cause,
      hint: 'Free it, or set "port" to another one (0 takes any free port)',
    });
  }

  return {
    findVolume,
    inspectContainer,

    info: () =>
      call('ask the engine for its version', undefined, async () => {
        const version = await askVersion(docker, limits.versionMs);
        // Anything that speaks HTTP may stand where DOCKER_HOST points to.
        if (typeof (version as Partial<typeof version> | null)?.ApiVersion !== 'string')
          throw new AppError(
            'docker-unreachable',
            `what answers at ${where}, is no container engine`,
            { hint: 'Look at that address, and at proxies before it' },
          );
        return {
          version: version.Version,
          apiVersion: version.ApiVersion,
          architecture: version.Arch,
          host: remoteHost ?? '127.0.0.1',
          mayShareFolders: local,
        };
      }),

    hasImage: async (reference, signal) =>
      (await findImage(withTag(reference), signal)) !== undefined,

    async ensureImage(reference, signal, onPull) {
      const name = withTag(reference);
      const present = await findImage(name, signal);
      if (present) return imageFacts(reference, present);
      if (isImageId(reference)) {
        throw new AppError('image-unavailable', `there is no image ${reference}`, {
          hint: 'An id cannot be pulled: build or load the image in an earlier step, or give its name, with a tag',
        });
      }
      onPull?.();
      const registry = registryOf(name);
      let login: RegistryLogin | undefined;
      try {
        login = await findLogin(registry, signal);
        await pull(docker, name, login, limits.silenceMs, signal);
      } catch (error) {
        if (signal?.aborted) throw translate(`pull the image ${name}`, error, signal);
        throw translatePullError(name, error, where, { registry, loggedIn: login !== undefined });
      }
      const pulled = await findImage(name, signal);
      if (pulled) return imageFacts(reference, pulled);
      throw new AppError(
        'image-unavailable',
        `the image ${name} is gone, right after it was pulled`,
      );
    },

    async importEmptyImage(reference, labels) {
      const at = reference.lastIndexOf(':');
      await call(`make the image ${reference}`, undefined, async () => {
        const progress = await docker.importImage(packTar([]), {
          repo: reference.slice(0, at),
          tag: reference.slice(at + 1),
          changes: labelInstruction(labels),
        });
        await refuseFailure(progress);
      });
    },

    listImages: (labels, signal) =>
      call('list images', signal, async () => {
        const images = await docker.listImages({
          filters: labelFilter(labels),
          ...abortable(signal),
        } as object);
        const named = images.flatMap(({ RepoTags, Labels }) =>
          // Null for images without a name.
          ((RepoTags as string[] | null) ?? []).map((reference) => ({
            reference,
            labels: labelsOf(Labels as Labels | null),
          })),
        );
        return named.filter(carries(labels));
      }),

    async removeImage(reference) {
      await find(`remove the image ${reference}`, undefined, async () => {
        try {
          await imageOf(reference).remove();
        } catch (error) {
          if (statusOf(error) !== 409) throw error; // 409: a container uses it
        }
      });
    },

    async createVolume(name, labels, signal, driver) {
      // The engine answers "created" for a volume that is already there: look first, and compare labels after.
      const taken = new AppError('volume-taken', `a volume named ${name} already exists`, {
        hint: 'It is left as it is. Choose another name, or remove it yourself with "docker volume rm"',
      });
      if (await findVolume(name, signal)) throw taken;
      await call(`create the volume ${name}`, signal, () =>
        docker.createVolume({
          Name: name,
          Labels: { ...labels },
          ...(driver && { Driver: driver.driver, DriverOpts: { ...driver.options } }),
          ...abortable(signal),
        }),
      );
      const made = await findVolume(name, signal);
      if (!made || Object.entries(labels).some(([label, value]) => made.labels[label] !== value))
        throw taken;
    },

    listVolumes: (labels, signal) =>
      call('list volumes', signal, async () => {
        const { Volumes } = await docker.listVolumes({
          filters: labelFilter(labels),
          ...abortable(signal),
        } as object);
        const volumes = ((Volumes as typeof Volumes | null) ?? []).map(volumeInfo);
        return volumes.filter(carries(labels));
      }),

    async removeVolume(name) {
      await find(`remove the volume ${name}`, undefined, () => volumeOf(name).remove());
    },

    listNetworks: (signal) =>
      call('list networks', signal, async () => {
        const found = await docker.listNetworks({ ...abortable(signal) } as object);
        return found
          .map(({ Id, Name }) => ({ id: Id, name: Name }))
          .sort((a, b) => (a.name < b.name ? -1 : 1));
      }),

    async createContainer(spec, signal) {
      try {
        const container = await docker.createContainer({
          ...createOptions(spec, await publishedAt(spec)),
          ...abortable(signal),
        });
        names.set(container.id, spec.name);
        return container.id;
      } catch (error) {
        const status = statusOf(error);
        if (status === 409) {
          throw new AppError('name-taken', `a container named ${spec.name} already exists`, {
            cause: error,
            hint: 'Choose another name, or remove it first',
          });
        }
        // Or what else it needs is not there, such as the driver of a volume.
        if (status === 404 && !(await findImage(withTag(spec.image), signal)))
          throw new AppError('image-unavailable', `there is no image ${spec.image}`, {
            cause: error,
            hint: 'Something has removed it meanwhile: try again',
          });
        const translated = translate(`create the container ${spec.name}`, error, signal);
        const folders = spec.mounts.filter(({ type }) => type === 'bind');
        if (status !== 400 || folders.length === 0) throw translated;
        const named = folders.map(({ source }) => source).join(' or ');
        throw new AppError('volume-missing', `the engine cannot mount ${named}`, {
          cause: error,
          hint: 'Look whether the folder is there, on the machine of the engine',
          details: [translated.message],
        });
      }
    },

    async startContainer(id, signal) {
      try {
        await docker.getContainer(id).start({ ...abortable(signal) });
      } catch (error) {
        const taken =
          statusOf(error) === undefined
            ? undefined
            : await portTakenError(id, error).catch(() => undefined);
        throw taken ?? translate(`start ${theContainer(id)}`, error, signal);
      }
    },

    stopContainer: (id, graceMs) =>
      call(`stop ${theContainer(id)}`, undefined, async () => {
        const container = docker.getContainer(id);
        try {
          await container.stop({ t: Math.ceil(graceMs / 1000) });
        } catch (error) {
          if (statusOf(error) !== 304) throw error; // 304: it had stopped already
        }
        return (await container.inspect()).State.ExitCode;
      }),

    setRestartPolicy: (id, { name, maximumRetryCount }) =>
      call(`change how ${theContainer(id)} is restarted`, undefined, async () => {
        await docker.getContainer(id).update({
          RestartPolicy: { Name: name, MaximumRetryCount: maximumRetryCount },
        });
      }),

    pauseContainer: (id) =>
      call(`pause ${theContainer(id)}`, undefined, async () => {
        await docker.getContainer(id).pause();
      }),

    unpauseContainer: (id) =>
      call(`resume ${theContainer(id)}`, undefined, async () => {
        const container = docker.getContainer(id);
        if ((await container.inspect()).State.Paused) await container.unpause();
      }),

    waitForExit: (id, signal) =>
      call(`wait for ${theContainer(id)}`, signal, () =>
        waitForEnd(docker, id, limits.questionMs, signal),
      ),

    async listContainers(labels, signal) {
      const listed = await call('list containers', signal, () =>
        docker.listContainers({
          all: true,
          filters: labelFilter(labels),
          ...abortable(signal),
        } as object),
      );
      const inspected = await Promise.all(listed.map((c) => inspectContainer(c.Id, signal)));
      const states = inspected.filter((state) => state !== undefined);
      if (Object.keys(labels).length === 0) return states;
      return states.filter((state) => carries({ ...labels, [selfLabel]: state.name })(state));
    },

    async removeContainer(id) {
      await find(`remove ${theContainer(id)}`, undefined, async () => {
        try {
          await docker.getContainer(id).remove({ force: true, v: true });
        } catch (error) {
          if (statusOf(error) !== 409) throw error; // 409: somebody else is removing it at this moment
        }
      });
    },

    async logs(id, lines) {
      try {
        const framed = await find(`read the log of ${theContainer(id)}`, undefined, () =>
          docker.getContainer(id).logs({ stdout: true, stderr: true, tail: lines, follow: false }),
        );
        return framed ? linesOf(unframe(framed).toString('utf8')) : [];
      } catch (error) {
        return [messageOf(error)];
      }
    },

    exec: (id, command, env, signal) =>
      call(`run ${command[0] ?? ''} in ${theContainer(id)}`, signal, async () => {
        const exec = await docker.getContainer(id).exec({
          Cmd: [...command],
          Env: envList(env),
          AttachStdout: true,
          AttachStderr: true,
          ...abortable(signal),
        });
        const stream = await exec.start({ hijack: false, stdin: false, ...abortable(signal) });
        const output = unframe(await buffer(stream));
        const { ExitCode } = await exec.inspect({ ...abortable(signal) });
        return {
          exitCode: ExitCode ?? -1,
          output: output.subarray(-execOutputLimitBytes).toString('utf8'),
        };
      }),

    stat: (id, path, signal) =>
      find(`look at ${path} in ${theContainer(id)}`, signal, async () => {
        const container = docker.getContainer(id);
        // A cast: it is a response, of which nobody reads the body; its connection would stay, and this process with it.
        const answer = (await container.infoArchive({ path, ...abortable(signal) })) as Readable;
        answer.resume();
        return statInHeader(answer);
      }),

    getArchive: (id, path, signal) =>
      find(`read ${path} from ${theContainer(id)}`, signal, async () => {
        // Before: of one container, the engine gives out one archive at a time.
        root ??= await rootInArchives(docker, (file) => archiveOf(id, file, signal), signal);
        return withInnerOwners(await archiveOf(id, path, signal), root);
      }),

    putArchive: (id, path, tar, signal) =>
      call(`write to ${path} in ${theContainer(id)}`, signal, () =>
        upload(docker, id, path, tar, signal),
      ),
  };
}

function cancelled(what: string, cause: unknown): AppError {
  return new AppError('cancelled', `cancelled: ${what}`, { cause });
}
