import type Docker from 'dockerode';

import { parseJson } from '../json.ts';
import { unreadableAnswer } from './docker-errors.ts';
import { selfLabel } from './labels.ts';
import type {
  ContainerOptions,
  ContainerSpec,
  ContainerState,
  ImageFacts,
  Labels,
  Mount,
  PathStat,
  PublishedPorts,
  VolumeInfo,
} from './runtime.ts';

// Between our words and the engine's JSON. What is empty is null in Go; the types of dockerode do not say so.

export function labelsOf(labels: Labels | null): Labels {
  return labels ?? {};
}

export function volumeInfo(info: Docker.VolumeInspectInfo): VolumeInfo {
  // Named so by Go's templates, and null where there are none.
  const { Options: options } = info as { Options: Record<string, string> | null };
  return {
    name: info.Name,
    labels: labelsOf(info.Labels),
    driver: info.Driver,
    options: options ?? {},
    mountpoint: info.Mountpoint,
  };
}

/** From the header of an answer: https://docs.docker.com/reference/api/engine/version/v1.41/#operation/ContainerArchiveInfo */
export function statInHeader(answer: unknown): PathStat {
  const { headers } = answer as { headers: Readonly<Record<string, string>> };
  const text = Buffer.from(headers['x-docker-container-path-stat'] ?? '', 'base64').toString();
  const { mode, mtime } = parseJson(text, (cause) =>
    unreadableAnswer('what is at a path', cause),
  ) as { mode: number; mtime: string };
  return {
    // The top bit of Go's fs.FileMode, a number without a sign.
    type: mode >= 2 ** 31 ? 'folder' : 'file',
    modifiedNs: nanoseconds(mtime),
  };
}

/** Of a time as Go writes it, with up to nine digits of a second: `2026-12-01T03:47:14.0921+01:00`. */
export function nanoseconds(time: string): bigint {
  const [, fraction = ''] = /\.(\d{1,9})(?=Z|[+-])/.exec(time) ?? [];
  const seconds = BigInt(Date.parse(time.replace(`.${fraction}`, '')) / 1000);
  return seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}

function keysOf(value: object | null | undefined): string[] {
  return Object.keys(value ?? {});
}

export function labelFilter(labels: Labels): string {
  return JSON.stringify({
    label: Object.entries(labels).map(([name, value]) => `${name}=${value}`),
  });
}

/**
 * Whether something has all of `wanted`. The engine has been asked for that; Podman 4 answers with what has any of them.
 */
export const carries =
  (wanted: Labels) =>
  ({ labels }: { readonly labels: Labels }): boolean =>
    Object.entries(wanted).every(([name, value]) => labels[name] === value);

/** As a Dockerfile has it. */
export function labelInstruction(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${JSON.stringify(name)}=${JSON.stringify(value)}`,
  );
  return `LABEL ${pairs.join(' ')}`;
}

export function envList(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

function parseEnv(entries: readonly string[] | null | undefined): Record<string, string> {
  return Object.fromEntries(
    (entries ?? []).map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

/** Whether it may be the id of an image, or the beginning of one: only the engine that has it knows it. */
export function isImageId(reference: string): boolean {
  return /^(sha256:)?[0-9a-f]{12,64}$/.test(reference);
}

/** `postgres` means `postgres:latest`; without a tag the engine's API would pull every tag there is. */
export function withTag(reference: string): string {
  const lastSegment = reference.slice(reference.lastIndexOf('/') + 1);
  return isImageId(reference) || /[:@]/.test(lastSegment) ? reference : `${reference}:latest`;
}

/**
 * The host of the registry that an image comes from, with its port: what stands before the first slash, if it can be
 * none of Docker Hub's users. https://github.com/distribution/reference/blob/main/normalize.go
 */
export function registryOf(reference: string): string {
  const [first = '', ...rest] = reference.split('/');
  const isHost = rest.length > 0 && (first === 'localhost' || /[.:]|[A-Z]/.test(first));
  return isHost && first !== 'index.docker.io' ? first : 'docker.io';
}

export function imageFacts(reference: string, image: Docker.ImageInspectInfo): ImageFacts {
  const config = image.Config;
  const bare = (id: string): string => id.replace(/^sha256:/, '');
  // A name may look like one.
  const isId = isImageId(reference) && bare(image.Id).startsWith(bare(reference));
  const repoDigest = (image.RepoDigests as string[] | null)?.[0];
  return {
    reference: isId ? image.Id : reference,
    id: image.Id,
    digest: repoDigest?.slice(repoDigest.indexOf('@') + 1),
    architecture: image.Architecture,
    os: image.Os,
    env: parseEnv(config.Env),
    volumes: keysOf(config.Volumes),
    ports: keysOf(config.ExposedPorts)
      .filter((port) => port.endsWith('/tcp'))
      .map((port) => Number.parseInt(port, 10)),
    stopSignal: (config as { StopSignal?: string }).StopSignal,
    user: config.User,
  };
}

export function containerState(info: Docker.ContainerInspectInfo): ContainerState {
  const ports = info.NetworkSettings.Ports as Record<string, { HostPort: string }[] | null> | null;
  const hostPort = Object.values(ports ?? {}).find((bindings) => bindings?.length)?.[0]?.HostPort;
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    running: info.State.Running,
    paused: info.State.Paused,
    exitCode: info.State.ExitCode,
    oomKilled: info.State.OOMKilled,
    startedAt: info.State.StartedAt,
    autoRemove: info.HostConfig.AutoRemove ?? false,
    hostPort: hostPort === undefined ? undefined : Number(hostPort),
    labels: labelsOf(info.Config.Labels),
    mounts: mountsOf(info),
    image: info.Config.Image,
    imageId: info.Image,
    env: parseEnv(info.Config.Env),
    command: [info.Path, ...info.Args],
    publishedPorts: publishedPorts(ports),
    everStarted: info.State.StartedAt !== neverStarted,
    ...needsOf(info),
    // A cast: the types do not know these.
    ...stopOf(info.Config as StopConfig),
    health: healthOf(info.State.Health?.Status),
    restartPolicy: {
      name: info.HostConfig.RestartPolicy?.Name || 'no',
      maximumRetryCount: info.HostConfig.RestartPolicy?.MaximumRetryCount ?? 0,
    },
  };
}

const neverStarted = '0001-01-01T00:00:00Z';

interface StopConfig {
  readonly StopSignal?: string;
  readonly StopTimeout?: number | null;
}

function stopOf({ StopSignal, StopTimeout }: StopConfig) {
  return {
    stopSignal: StopSignal || 'SIGTERM',
    stopTimeoutMs: typeof StopTimeout === 'number' ? StopTimeout * 1000 : undefined,
  };
}

/** Volumes and folders of the host; what lies in memory (tmpfs) is nobody's data. The engine lists them in any order. */
function mountsOf({ Mounts, HostConfig }: Docker.ContainerInspectInfo): Mount[] {
  const partial = (target: string): boolean =>
    (HostConfig.Mounts ?? []).some((each) => each.Target === target && isPartial(each));
  return Mounts.flatMap(({ Type, Name, Source, Destination, RW }): Mount[] => {
    const mount = { target: Destination, readOnly: !RW };
    if (Type === 'bind') return [{ type: 'bind', source: Source, ...mount }];
    if (Type !== 'volume') return [];
    const isPart = partial(Destination) && { partial: true };
    return [{ type: 'volume', source: Name ?? Source, ...mount, ...isPart }];
  }).sort((a, b) => (a.target < b.target ? -1 : 1));
}

/** Mounted with `volume-subpath`. A cast: the types do not know it. */
function isPartial({ VolumeOptions }: Docker.MountSettings): boolean {
  return Boolean((VolumeOptions as { readonly Subpath?: string } | undefined)?.Subpath);
}

function publishedPorts(
  ports: Record<string, { HostIp?: string; HostPort: string }[] | null> | null,
): PublishedPorts {
  return Object.fromEntries(
    Object.entries(ports ?? {}).flatMap(([port, bindings]) =>
      bindings?.length
        ? [[port, bindings.map(({ HostIp, HostPort }) => `${HostIp ?? ''}:${HostPort}`).sort()]]
        : [],
    ),
  );
}

/** `--link`, `--volumes-from`, and namespaces of others (`--network container:NAME`). */
function needsOf({ HostConfig }: Docker.ContainerInspectInfo) {
  const { Links, VolumesFrom, NetworkMode, PidMode, IpcMode } = HostConfig as {
    Links?: string[] | null;
    VolumesFrom?: string[] | null;
    NetworkMode?: string;
    PidMode?: string;
    IpcMode?: string;
  };
  const joins = [NetworkMode, PidMode, IpcMode].flatMap((mode) =>
    mode?.startsWith('container:') ? [mode.slice('container:'.length)] : [],
  );
  const linked = (Links ?? []).map((link) => link.replace(/^\//, '').replace(/:.*$/, ''));
  const sharing = (VolumesFrom ?? []).map((from) => from.replace(/:(ro|rw|z|Z)$/, ''));
  return { needs: [...linked, ...sharing, ...joins], joins };
}

function healthOf(status: string | undefined): ContainerState['health'] {
  return status === 'starting' || status === 'healthy' || status === 'unhealthy' ? status : 'none';
}

/** A shell, a tar, and what they may start. */
const confinedPids = 32;

function hostOptions({
  memoryBytes,
  shmBytes,
  ulimits,
  tmpfs,
  capAdd,
}: ContainerOptions): Docker.HostConfig {
  return {
    ...(memoryBytes !== undefined && { Memory: memoryBytes }),
    ...(shmBytes !== undefined && { ShmSize: shmBytes }),
    ...(ulimits && {
      Ulimits: ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    }),
    ...(tmpfs && { Tmpfs: { ...tmpfs } }),
    ...(capAdd && { CapAdd: [...capAdd] }),
  };
}

/** @param address where the port is published */
export function createOptions(
  spec: ContainerSpec,
  address: { readonly hostIp: string; readonly hostPort: number },
): Docker.ContainerCreateOptions {
  const port = spec.publish && `${spec.publish.containerPort}/tcp`;
  return {
    name: spec.name,
    Image: withTag(spec.image),
    Labels: { ...spec.labels, [selfLabel]: spec.name },
    ...(spec.env && { Env: envList(spec.env) }),
    ...(spec.entrypoint && { Entrypoint: [...spec.entrypoint] }),
    ...(spec.command && { Cmd: [...spec.command] }),
    ...(spec.user !== undefined && { User: spec.user }),
    ...(port && { ExposedPorts: { [port]: {} } }),
    ...(spec.network !== undefined &&
      spec.networkAlias !== undefined && {
        NetworkingConfig: { EndpointsConfig: { [spec.network]: { Aliases: [spec.networkAlias] } } },
      }),
    HostConfig: {
      Mounts: spec.mounts.map((mount) => ({
        Type: mount.type,
        Source: mount.source,
        Target: mount.target,
        ReadOnly: mount.readOnly ?? false,
        ...(mount.noCopy &&
          mount.type === 'volume' && {
            VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
          }),
      })),
      ...(port && {
        PortBindings: { [port]: [{ HostIp: address.hostIp, HostPort: String(address.hostPort) }] },
      }),
      ...(spec.network !== undefined && { NetworkMode: spec.network }),
      ...hostOptions(spec.options ?? {}),
      ...(spec.confinedTo && {
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        CapAdd: [...spec.confinedTo],
        SecurityOpt: ['no-new-privileges'],
        PidsLimit: confinedPids,
      }),
    },
  };
}
