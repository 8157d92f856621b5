import type { Readable } from 'node:stream';

/** Labels of everything we create; they are how it is found again. */
export type Labels = Readonly<Record<string, string>>;

/** The container engine itself. */
export interface EngineInfo {
  readonly version: string;
  readonly apiVersion: string;
  /** Go's names: `amd64`, `arm64`. */
  readonly architecture: string;
  /** The host name where published ports are reached: `127.0.0.1` for a local engine. */
  readonly host: string;
  /**
   * False for an engine on another machine: paths of folders are those of that machine. True: it is to see those of this
   * one, and whether it does is asked of each folder; see `requireShared`.
   */
  readonly mayShareFolders: boolean;
}

/** What an image says of itself (`docker image inspect`). */
export interface ImageFacts {
  /** As it was asked for; of an id the whole of it. */
  readonly reference: string;
  readonly id: string;
  /** `sha256:...` of the registry manifest, where the image came from a registry. */
  readonly digest: string | undefined;
  readonly architecture: string;
  readonly os: string;
  readonly env: Readonly<Record<string, string>>;
  /** Paths declared by VOLUME. */
  readonly volumes: readonly string[];
  /** Ports declared by EXPOSE, TCP only. */
  readonly ports: readonly number[];
  readonly stopSignal: string | undefined;
  readonly user: string;
}

export interface Mount {
  readonly type: 'volume' | 'bind';
  /** Volume name or absolute host folder. */
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  readonly readOnly?: boolean;
  /** True where only a folder of the volume is mounted. */
  readonly partial?: boolean;
  /** Volumes: do not fill an empty volume with what the image has at `target`. */
  readonly noCopy?: boolean;
}

/** What `docker run` has flags of these names for. */
export interface ContainerOptions {
  readonly memoryBytes?: number;
  readonly shmBytes?: number;
  readonly ulimits?: readonly Ulimit[];
  /** What a memory file system is mounted with, by its absolute path. */
  readonly tmpfs?: Readonly<Record<string, string>>;
  readonly capAdd?: readonly string[];
}

/** -1 is no limit. */
export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly labels: Labels;
  readonly env?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  readonly mounts: readonly Mount[];
  /** Container port -> host port. 0 takes a free one, which stays the same when the container is started again. */
  readonly publish?: { readonly containerPort: number; readonly hostPort: number };
  /** A network to join, or `none`. */
  readonly network?: string;
  /** One more name in that network. */
  readonly networkAlias?: string;
  readonly options?: ContainerOptions;
  /** Everything off but these capabilities: no network, read-only root, no new privileges. */
  readonly confinedTo?: readonly string[];
}

/** Whether the engine starts a container again that has ended, as `docker run --restart` has it. */
export interface RestartPolicy {
  readonly name: string;
  readonly maximumRetryCount: number;
}

/** `hostPort` as text `ADDRESS:PORT`, by the container's port (`5432/tcp`). */
export type PublishedPorts = Readonly<Record<string, readonly string[]>>;

export interface ContainerState {
  readonly id: string;
  readonly name: string;
  /** Also while it is paused. */
  readonly running: boolean;
  readonly paused: boolean;
  /** Of the last run, as the engine writes times: another one tells that it was started again. */
  readonly startedAt: string;
  /** Of the last run; meaningful when not running. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Started with --rm: it goes when it ends, with its anonymous volumes. */
  readonly autoRemove: boolean;
  /** Host port the engine published, where it did. */
  readonly hostPort: number | undefined;
  readonly labels: Labels;
  readonly mounts: readonly Mount[];
  /** As it was named when the container was made. */
  readonly image: string;
  readonly imageId: string;
  /** Holds passwords: never to be printed. So does `command`. */
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly publishedPorts: PublishedPorts;
  /** False for one that was created and never ran. */
  readonly everStarted: boolean;
  /** Names, ids or beginnings of ids of containers that must be there before it. */
  readonly needs: readonly string[];
  /** Those of `needs` whose network or processes it shares: it cannot go on when they have ended. */
  readonly joins: readonly string[];
  readonly stopSignal: string;
  /** Given for this container; absent: the engine's default. */
  readonly stopTimeoutMs: number | undefined;
  /** `none` for a container without a health check. */
  readonly health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  readonly restartPolicy: RestartPolicy;
}

/** How a volume is made: `docker volume create --driver ... --opt ...`. */
export interface VolumeDriver {
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
}

export interface VolumeInfo extends VolumeDriver {
  readonly name: string;
  readonly labels: Labels;
  /** Its folder, on the engine's host. */
  readonly mountpoint: string;
}

export interface NetworkInfo {
  readonly id: string;
  readonly name: string;
}

export interface NamedImage {
  readonly reference: string;
  readonly labels: Labels;
}

/** What a path in a container stands for. */
export interface PathStat {
  readonly type: 'folder' | 'file';
  /** Since 1970. */
  readonly modifiedNs: bigint;
}

export interface ExecResult {
  readonly exitCode: number;
  /** stdout and stderr together, at most the last 64 KiB. */
  readonly output: string;
}

/**
 * The container verbs we use, and no others. One implementation, on dockerode.
 *
 * Every verb rejects with an AppError: `docker-unreachable` when the engine does not answer, `engine-refused` when it
 * answers that it will not, `cancelled` when `signal` fires, and what is named at the verb. What must be absent for a verb to have its effect (removing what is gone) is
 * not an error.
 */
export interface ContainerRuntime {
  info(): Promise<EngineInfo>;
  /** Pulls the image when it is not there. @throws `image-unavailable` */
  ensureImage(reference: string, signal?: AbortSignal, onPull?: () => void): Promise<ImageFacts>;
  /** Whether it is here already. */
  hasImage(reference: string, signal?: AbortSignal): Promise<boolean>;

  /**
   * A new image with nothing in it, for containers that are never started. The engine chooses its architecture.
   * @param reference a name that no image has
   */
  importEmptyImage(reference: string, labels: Labels): Promise<void>;
  /** Images that have a name and carry all of `labels`. */
  listImages(labels: Labels, signal?: AbortSignal): Promise<readonly NamedImage[]>;
  /** The name goes; the image with its last one. Does nothing while a container uses it. */
  removeImage(reference: string): Promise<void>;

  /** @throws `volume-taken` when a volume of that name exists. */
  createVolume(
    name: string,
    labels: Labels,
    signal?: AbortSignal,
    driver?: VolumeDriver,
  ): Promise<void>;
  findVolume(name: string, signal?: AbortSignal): Promise<VolumeInfo | undefined>;
  listVolumes(labels: Labels, signal?: AbortSignal): Promise<readonly VolumeInfo[]>;
  removeVolume(name: string): Promise<void>;

  /** All there are, by name. */
  listNetworks(signal?: AbortSignal): Promise<readonly NetworkInfo[]>;

  /** Created, not started. Returns the id. @throws `name-taken`; `volume-missing` for a folder that it has not */
  createContainer(spec: ContainerSpec, signal?: AbortSignal): Promise<string>;
  /** @throws `port-taken` when the wanted host port is in use. */
  startContainer(id: string, signal?: AbortSignal): Promise<void>;
  /** Sends the image's own stop signal, then kills after `graceMs`. Resolves with the exit code (137: killed). */
  stopContainer(id: string, graceMs: number): Promise<number>;
  setRestartPolicy(id: string, policy: RestartPolicy): Promise<void>;
  /** Freezes all processes of a running container. */
  pauseContainer(id: string): Promise<void>;
  /** Does nothing when it is not paused. */
  unpauseContainer(id: string): Promise<void>;
  /** Resolves with the exit code when the container is no longer running. */
  waitForExit(id: string, signal?: AbortSignal): Promise<number>;
  inspectContainer(id: string, signal?: AbortSignal): Promise<ContainerState | undefined>;
  /**
   * Running and stopped ones that `createContainer` has made with all of `labels`; not those that have them from an
   * image. With none given, all there are.
   */
  listContainers(labels: Labels, signal?: AbortSignal): Promise<readonly ContainerState[]>;
  /** Kills it if it runs. Its anonymous volumes go with it, named ones stay. */
  removeContainer(id: string): Promise<void>;
  /**
   * The last `lines` lines of stdout and stderr, as evidence: it decides nothing, and never rejects. Where they cannot be
   * read (https://docs.docker.com/engine/logging/drivers/none/), it is one line that says why.
   */
  logs(id: string, lines: number): Promise<string[]>;
  exec(
    id: string,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<ExecResult>;

  /** What is at `path`, links followed. `undefined` when there is nothing. Works on stopped containers. */
  stat(id: string, path: string, signal?: AbortSignal): Promise<PathStat | undefined>;
  /**
   * A tar stream of `path`, with owners as containers see them. `undefined` when there is nothing at `path`. Works on
   * stopped containers.
   */
  getArchive(id: string, path: string, signal?: AbortSignal): Promise<Readable | undefined>;
  /** Extracts a tar stream, with owners as containers see them, into the folder `path`. Works on created containers. */
  putArchive(id: string, path: string, tar: Readable, signal?: AbortSignal): Promise<void>;
}
