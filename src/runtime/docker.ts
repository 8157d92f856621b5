import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import Docker from 'dockerode';

import { AppError } from '../errors.ts';
import { statusOf, translateDockerError, translatePullError } from './docker-errors.ts';
import { linesOf, unframe } from './docker-frames.ts';
import { findFreePort, isPortFree, processListeningOn } from './ports.ts';
import type {
  ContainerRuntime,
  ContainerSpec,
  ContainerState,
  ImageFacts,
  Labels,
  Mount,
} from './runtime.ts';

const execOutputLimitBytes = 64 * 1024;

/**
 * The container verbs on dockerode. Finds the engine as the docker client does: DOCKER_HOST, DOCKER_TLS_VERIFY,
 * DOCKER_CERT_PATH, else the local socket.
 */
export function connectDocker(): ContainerRuntime {
  const docker = new Docker();
  const remoteHost = (docker.modem as { host?: string }).host;
  const local = remoteHost === undefined;

  async function address(): Promise<string> {
    if (remoteHost !== undefined) return `tcp://${remoteHost}`;
    const { socketPath } = docker.modem as { socketPath?: string | (() => Promise<string>) };
    return `unix://${typeof socketPath === 'function' ? await socketPath() : (socketPath ?? '')}`;
  }

  /** Runs one engine call and translates its failure. */
  async function call<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw translateDockerError(what, error, await address());
    }
  }

  /** As `call`, but an engine's "there is none" is `undefined`. */
  async function find<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    return call(what, async () => {
      try {
        return await work();
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  /** The running container that publishes `port`, else the process that listens on it. */
  async function holderOf(port: number): Promise<string | undefined> {
    const containers = await docker.listContainers();
    const holder = containers.find((c) => c.Ports.some((p) => p.PublicPort === port));
    if (holder) return `container ${holder.Names[0]?.replace(/^\//, '') ?? holder.Id}`;
    return local ? await processListeningOn(port) : undefined;
  }

  /** A port that the engine chooses changes at each start; one chosen here stays. */
  async function hostPortFor({ publish }: ContainerSpec): Promise<number> {
    return publish?.hostPort === 0 && local ? findFreePort() : (publish?.hostPort ?? 0);
  }

  async function portTakenError(id: string): Promise<AppError | undefined> {
    const { HostConfig } = await docker.getContainer(id).inspect();
    const bindings = Object.values(
      (HostConfig.PortBindings ?? {}) as Record<string, { HostPort?: string }[]>,
    );
    const port = Number(bindings[0]?.[0]?.HostPort ?? 0);
    if (port === 0) return undefined;
    const holder = await holderOf(port);
    if (holder === undefined && (!local || (await isPortFree(port)))) return undefined;
    return new AppError('port-taken', `port ${port} is taken${holder ? ` by ${holder}` : ''}`, {
      hint: 'Free it, or set "port" to another one (0 takes any free port)',
    });
  }

  return {
    info: () =>
      call('ask the engine for its version', async () => {
        const version = await docker.version();
        return {
          version: version.Version,
          apiVersion: version.ApiVersion,
          architecture: version.Arch,
          host: remoteHost ?? '127.0.0.1',
          local,
        };
      }),

    async ensureImage(reference, signal, onPull) {
      const name = withTag(reference);
      const inspect = () => docker.getImage(name).inspect({ ...abortable(signal) } as object);
      const present = await find(`look for the image ${name}`, inspect);
      if (present) return imageFacts(reference, present);
      onPull?.();
      try {
        const progress = await docker.pull(name, { ...abortable(signal) });
        await new Promise<void>((resolve, reject) => {
          docker.modem.followProgress(progress, (error) => {
            if (error) reject(error);
            else resolve();
          });
        });
      } catch (error) {
        throw translatePullError(name, error, await address());
      }
      return imageFacts(reference, await call(`read the image ${name}`, inspect));
    },

    async createVolume(name, labels, signal) {
      // The engine answers "created" for a volume that is already there: look first, and compare labels after.
      const taken = new AppError('volume-taken', `a volume named ${name} already exists`, {
        hint: 'It is left as it is. Choose another name, or remove it yourself with "docker volume rm"',
      });
      if (await this.findVolume(name, signal)) throw taken;
      await call(`create the volume ${name}`, () =>
        docker.createVolume({ Name: name, Labels: { ...labels }, ...abortable(signal) }),
      );
      const made = await this.findVolume(name, signal);
      if (!made || Object.entries(labels).some(([label, value]) => made.labels[label] !== value))
        throw taken;
    },

    async findVolume(name, signal) {
      const found = await find(`look for the volume ${name}`, () =>
        docker.getVolume(name).inspect({ ...abortable(signal) }),
      );
      return found && { name: found.Name, labels: (found.Labels as Labels | null) ?? {} };
    },

    listVolumes: (labels, signal) =>
      call('list volumes', async () => {
        const { Volumes } = await docker.listVolumes({
          filters: labelFilter(labels),
          ...abortable(signal),
        } as object);
        return Volumes.map((v) => ({ name: v.Name, labels: (v.Labels as Labels | null) ?? {} }));
      }),

    async removeVolume(name) {
      await find(`remove the volume ${name}`, () => docker.getVolume(name).remove());
    },

    async createContainer(spec, signal) {
      try {
        const container = await docker.createContainer({
          ...createOptions(spec, local, await hostPortFor(spec)),
          ...abortable(signal),
        });
        return container.id;
      } catch (error) {
        if (statusOf(error) === 409) {
          throw new AppError('name-taken', `a container named ${spec.name} already exists`, {
            cause: error,
            hint: 'Choose another name, or remove it first',
          });
        }
        throw translateDockerError(`create the container ${spec.name}`, error, await address());
      }
    },

    async startContainer(id, signal) {
      try {
        await docker.getContainer(id).start({ ...abortable(signal) });
      } catch (error) {
        const taken =
          statusOf(error) === undefined
            ? undefined
            : await portTakenError(id).catch(() => undefined);
        throw taken ?? translateDockerError('start the container', error, await address());
      }
    },

    stopContainer: (id, graceMs) =>
      call('stop the container', async () => {
        const container = docker.getContainer(id);
        try {
          await container.stop({ t: Math.ceil(graceMs / 1000) });
        } catch (error) {
          if (statusOf(error) !== 304) throw error; // 304: it had stopped already
        }
        return (await container.inspect()).State.ExitCode;
      }),

    waitForExit: (id, signal) =>
      call('wait for the container', async () => {
        const result = (await docker.getContainer(id).wait({ ...abortable(signal) })) as {
          StatusCode: number;
        };
        return result.StatusCode;
      }),

    async inspectContainer(id, signal) {
      const found = await find('inspect the container', () =>
        docker.getContainer(id).inspect({ ...abortable(signal) } as object),
      );
      return found && containerState(found);
    },

    async listContainers(labels, signal) {
      const listed = await call('list containers', () =>
        docker.listContainers({
          all: true,
          filters: labelFilter(labels),
          ...abortable(signal),
        } as object),
      );
      const states = await Promise.all(listed.map((c) => this.inspectContainer(c.Id, signal)));
      return states.filter((state) => state !== undefined);
    },

    async removeContainer(id) {
      await find('remove the container', async () => {
        try {
          await docker.getContainer(id).remove({ force: true, v: true });
        } catch (error) {
          if (statusOf(error) !== 409) throw error; // 409: somebody else is removing it at this moment
        }
      });
    },

    async logs(id, lines) {
      const framed = await find('read the container log', () =>
        docker.getContainer(id).logs({ stdout: true, stderr: true, tail: lines, follow: false }),
      );
      return framed ? linesOf(unframe(framed).toString('utf8')) : [];
    },

    exec: (id, command, env, signal) =>
      call(`run ${command[0] ?? ''} in the container`, async () => {
        const exec = await docker.getContainer(id).exec({
          Cmd: [...command],
          Env: envList(env),
          AttachStdout: true,
          AttachStderr: true,
          ...abortable(signal),
        });
        const stream = await exec.start({ hijack: false, stdin: false, ...abortable(signal) });
        const output = unframe(await buffer(stream));
        const { ExitCode } = await exec.inspect();
        return {
          exitCode: ExitCode ?? -1,
          output: output.subarray(-execOutputLimitBytes).toString('utf8'),
        };
      }),

    getArchive: (id, path, signal) =>
      find(`read ${path} from the container`, async () => {
        const stream = await docker.getContainer(id).getArchive({ path, ...abortable(signal) });
        return stream as Readable;
      }),

    putArchive: (id, path, tar, signal) =>
      call(`write to ${path} in the container`, async () => {
        await docker.getContainer(id).putArchive(tar, { path, ...abortable(signal) });
      }),
  };
}

function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}

function labelFilter(labels: Labels): string {
  return JSON.stringify({
    label: Object.entries(labels).map(([name, value]) => `${name}=${value}`),
  });
}

function envList(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

function parseEnv(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

/** `postgres` means `postgres:latest`; without a tag the engine's API would pull every tag there is. */
function withTag(reference: string): string {
  const lastSegment = reference.slice(reference.lastIndexOf('/') + 1);
  return /[:@]/.test(lastSegment) ? reference : `${reference}:latest`;
}

function imageFacts(reference: string, image: Docker.ImageInspectInfo): ImageFacts {
  const config = image.Config;
  const repoDigest = (image.RepoDigests as string[] | null)?.[0];
  return {
    reference,
    id: image.Id,
    digest: repoDigest?.slice(repoDigest.indexOf('@') + 1),
    architecture: image.Architecture,
    os: image.Os,
    env: parseEnv(config.Env ?? []),
    volumes: Object.keys((config.Volumes as object | null) ?? {}),
    ports: Object.keys((config.ExposedPorts as object | null) ?? {})
      .filter((port) => port.endsWith('/tcp'))
      .map((port) => Number.parseInt(port, 10)),
    stopSignal: (config as { StopSignal?: string }).StopSignal,
    user: config.User,
  };
}

function containerState(info: Docker.ContainerInspectInfo): ContainerState {
  const published = Object.values(
    info.NetworkSettings.Ports as Record<string, { HostPort: string }[] | null>,
  );
  const hostPort = published.find((bindings) => bindings?.length)?.[0]?.HostPort;
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    running: info.State.Running,
    exitCode: info.State.ExitCode,
    oomKilled: info.State.OOMKilled,
    hostPort: hostPort === undefined ? undefined : Number(hostPort),
    labels: info.Config.Labels,
    mounts: info.Mounts.map((mount): Mount => ({
      type: mount.Type === 'bind' ? 'bind' : 'volume',
      source: mount.Name ?? mount.Source,
      target: mount.Destination,
      readOnly: !mount.RW,
    })),
    image: info.Config.Image,
    env: parseEnv(info.Config.Env),
  };
}

function createOptions(
  spec: ContainerSpec,
  local: boolean,
  hostPort: number,
): Docker.ContainerCreateOptions {
  const port = spec.publish && `${spec.publish.containerPort}/tcp`;
  return {
    name: spec.name,
    Image: withTag(spec.image),
    Labels: { ...spec.labels },
    ...(spec.env && { Env: envList(spec.env) }),
    ...(spec.entrypoint && { Entrypoint: [...spec.entrypoint] }),
    ...(spec.command && { Cmd: [...spec.command] }),
    ...(spec.user !== undefined && { User: spec.user }),
    ...(port && { ExposedPorts: { [port]: {} } }),
    HostConfig: {
      Mounts: spec.mounts.map((mount) => ({
        Type: mount.type,
        Source: mount.source,
        Target: mount.target,
        ReadOnly: mount.readOnly ?? false,
        ...(mount.noCopy && {
          VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
        }),
      })),
      // Test data is nobody else's business: a local engine publishes to this machine only.
      ...(port &&
        spec.publish && {
          PortBindings: {
            [port]: [{ HostIp: local ? '127.0.0.1' : '', HostPort: String(hostPort) }],
          },
        }),
      ...(spec.network !== undefined && { NetworkMode: spec.network }),
      ...(spec.memoryBytes !== undefined && { Memory: spec.memoryBytes }),
      ...(spec.shmBytes !== undefined && { ShmSize: spec.shmBytes }),
      ...(spec.confinedTo && {
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        CapAdd: [...spec.confinedTo],
        SecurityOpt: ['no-new-privileges'],
      }),
    },
  };
}
