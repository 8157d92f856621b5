import { rm } from 'node:fs/promises';
import { platform } from 'node:os';

import { systemClock } from './clock.ts';
import type { Log } from './log.ts';
import { createLoginFinder } from './registry-login.ts';
import { findZstd } from './runtime/compression.ts';
import { createCopyCloner } from './runtime/copy-cloner.ts';
import { createScriptRunner } from './runtime/host-script.ts';
import { createOverlayCloner } from './runtime/overlay-cloner.ts';
import { createPlainArchiver } from './runtime/plain-archive.ts';
import type { ContainerRuntime } from './runtime/runtime.ts';
import type { CopyMethod } from './runtime/volume-copier.ts';
import { createVolumeCopier } from './runtime/volume-copy.ts';
import { createEncryptedStore } from './stores/encrypted.ts';
import { createFileStore } from './stores/file.ts';
import { createRetryingStore } from './stores/retrying.ts';
import { createScratch } from './scratch.ts';
import { readKeys, type SecretTexts } from './stores/keys.ts';
import type { StoreLocation } from './stores/location.ts';
import type { SnapshotStore } from './stores/store.ts';
import type { ArchiveTools, SnapshotTools, StoreTools, Tools } from './usecases/context.ts';

/** What the surroundings give: read once from the environment, by action/ or cli/. */
export interface Surroundings {
  readonly log: Log;
  /** Existing folder for scratch files; RUNNER_TEMP or TMPDIR. */
  readonly tempDir: string;
  /** The user's workspace: where scripts run. */
  readonly cwd: string;
  /** What `~/` stands for in paths. */
  readonly home?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where the user's scripts write: 1, or 2 where stdout carries JSON. */
  readonly outputFd: 1 | 2;
  /** Of GitHub's API, to read artifacts of other runs. Never shown. */
  readonly token?: string | undefined;
  /** Of encrypted snapshots. Never shown. */
  readonly secrets?: SecretTexts | undefined;
}

export type { SecretTexts } from './stores/keys.ts';

/** Tools for one use case and their scratch folder, which goes when they are disposed of. */
export interface Composition<T> extends AsyncDisposable {
  readonly tools: T;
}

/** The container engine alone: enough to remove things, even where no scratch folder can be made. */
export async function composeRuntime({
  log,
  env,
}: Pick<Surroundings, 'log' | 'env'>): Promise<ContainerRuntime> {
  const { connectDocker } = await import('./runtime/docker.ts');
  return connectDocker({ env, findLogin: createLoginFinder({ env, log }) });
}

/** The only place that knows implementations. The container client is loaded here, when it is first needed. */
export async function composeTools(
  around: Surroundings,
  copy: CopyMethod | 'auto',
): Promise<Composition<Tools>> {
  const { log, env } = around;
  const runtime = await composeRuntime(around);
  const info = await runtime.info();
  const zstd = await findZstd(env['PATH'] ?? '');
  log.debug(
    `engine ${info.version}, API ${info.apiVersion}; ${zstd ?? "no zstd program, using Node's"}`,
  );
  const scratchDir = await createScratch(around.tempDir);
  const tools: Tools = {
    runtime,
    copier: createVolumeCopier({
      runtime,
      log,
      scratchDir,
      zstd,
      method: copy,
      // A FIFO is shared through the file system: not with an engine elsewhere, nor in Docker Desktop's machine. An engine
      // that does not see the scratch folder refuses to mount it, and the copier takes the other way.
      sharesFileSystem: info.mayShareFolders && platform() === 'linux',
    }),
    cloners: [
      createOverlayCloner(runtime),
      createCopyCloner(runtime, 'reflink'),
      createCopyCloner(runtime, 'copy'),
    ],
    runScript: createScriptRunner({ ...around, scratchDir }),
    log,
    clock: systemClock,
    scratchDir,
  };
  return { tools, [Symbol.asyncDispose]: () => rm(scratchDir, { recursive: true, force: true }) };
}

export async function composeStoreTools(
  around: Surroundings,
  copy: CopyMethod | 'auto',
  location: StoreLocation,
): Promise<Composition<StoreTools>> {
  const store = await composeStore(location, around);
  const composed = await composeTools(around, copy);
  return { ...composed, tools: { ...composed.tools, store } };
}

/** For what only looks at stored snapshots. */
export async function composeSnapshotTools(
  around: Surroundings,
  location: StoreLocation,
): Promise<Composition<SnapshotTools>> {
  const store = await composeStore(location, around);
  const scratchDir = await createScratch(around.tempDir);
  return {
    tools: { store, log: around.log, clock: systemClock, scratchDir },
    [Symbol.asyncDispose]: () => rm(scratchDir, { recursive: true, force: true }),
  };
}

/** For archives of other programs, in and out of stored snapshots. */
export async function composeArchiveTools(
  around: Surroundings,
  location: StoreLocation,
): Promise<Composition<ArchiveTools>> {
  const zstd = await findZstd(around.env['PATH'] ?? '');
  const composed = await composeSnapshotTools(around, location);
  const archiver = createPlainArchiver({ log: around.log, zstd });
  return { ...composed, tools: { ...composed.tools, archiver } };
}

/** GitHub's stores hold at most a few gigabytes; a folder may be a slow disk for a large database. */
const storeTimeoutMs = { 'actions-cache': 600_000, artifact: 600_000, file: 86_400_000 } as const;

/** How long one look-up, download or upload may take. */
export function timeoutMsOf({ kind, timeoutMs }: StoreLocation): number {
  return timeoutMs ?? storeTimeoutMs[kind];
}

/** The store, patient up to a limit, which opens what is encrypted. @throws `invalid-settings` for a key that is none */
export async function composeStore(
  location: StoreLocation,
  around: Surroundings,
): Promise<SnapshotStore> {
  const { encryptTo = [] } = location;
  const keys = await readKeys({ ...around.secrets, encryptTo }, around);
  const timeoutMs = timeoutMsOf(location);
  const store = await openStore(location, around);
  const patient = createRetryingStore(store, { timeoutMs, clock: systemClock, log: around.log });
  return createEncryptedStore(patient, keys);
}

/** One row a store. */
async function openStore(
  location: StoreLocation,
  { log, env, token }: Surroundings,
): Promise<SnapshotStore> {
  switch (location.kind) {
    case 'file':
      return createFileStore(location.dir);
    case 'actions-cache': {
      const { createActionsCacheStore } = await import('./stores/actions-cache.ts');
      return createActionsCacheStore(log);
    }
    case 'artifact': {
      const { createArtifactStore } = await import('./stores/artifact.ts');
      const [repository, runId] = [env['GITHUB_REPOSITORY'], env['GITHUB_RUN_ID']];
      return createArtifactStore({ ...location, log, repository, runId, token });
    }
  }
}
