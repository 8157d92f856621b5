import type Docker from 'dockerode';

import type { ContainerSpec, ContainerState, ImageFacts, Labels, Mount } from './runtime.ts';

// Between our words and the engine's JSON. What is empty is null in Go; the types of dockerode do not say so.

export function labelsOf(labels: Labels | null): Labels {
  return labels ?? {};
}

function keysOf(value: object | null | undefined): string[] {
  return Object.keys(value ?? {});
}

export function labelFilter(labels: Labels): string {
  return JSON.stringify({
    label: Object.entries(labels).map(([name, value]) => `${name}=${value}`),
  });
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

/** `postgres` means `postgres:latest`; without a tag the engine's API would pull every tag there is. */
export function withTag(reference: string): string {
  const lastSegment = reference.slice(reference.lastIndexOf('/') + 1);
  return /[:@]/.test(lastSegment) ? reference : `${reference}:latest`;
}

export function imageFacts(reference: string, image: Docker.ImageInspectInfo): ImageFacts {
  const config = image.Config;
  const repoDigest = (image.RepoDigests as string[] | null)?.[0];
  return {
    reference,
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
    // The engine lists them in any order, another one each time.
    mounts: info.Mounts.map((mount): Mount => ({
      type: mount.Type === 'bind' ? 'bind' : 'volume',
      source: mount.Name ?? mount.Source,
      target: mount.Destination,
      readOnly: !mount.RW,
    })).sort((a, b) => (a.target < b.target ? -1 : 1)),
    image: info.Config.Image,
    env: parseEnv(info.Config.Env),
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
      ...(port && {
        PortBindings: { [port]: [{ HostIp: address.hostIp, HostPort: String(address.hostPort) }] },
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
