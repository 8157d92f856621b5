import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { Credentials, Engine, Env } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { longestPrefix } from '../paths.ts';
import { labelsFor, engineLabel, volumeNameLabel } from '../runtime/labels.ts';
import type { ImageFacts, Labels } from '../runtime/runtime.ts';
import type { ExtraVolume, Settings } from '../settings.ts';
import type { Target } from '../snapshot/compatibility.ts';
import { readFiles } from '../snapshot/key-files.ts';
import {
  computeKey,
  filesFingerprint,
  fingerprint,
  passwordFingerprint,
  secretFingerprint,
  type KeyFile,
  type KeyParts,
} from '../snapshot/key.ts';
import { formatVersion, type DatabaseManifest, type KeyPart } from '../snapshot/manifest.ts';
import { requireOwnPlace, resolveFiles, type ContainerFile } from './container-files.ts';
import type { RunIdentity } from './context.ts';

/** One volume of a database: its name in the bundle, in the engine, and where it is mounted. */
export interface PlannedVolume {
  readonly name: string;
  readonly volume: string;
  readonly mountPath: string;
  readonly labels: Labels;
}

/** Everything that is decided before anything is created. */
export interface Plan {
  /** Of the database. */
  readonly name: string;
  readonly engine: Engine;
  readonly image: ImageFacts;
  readonly credentials: Credentials;
  readonly containerName: string;
  readonly containerPort: number;
  readonly dataPath: string;
  readonly volumes: readonly PlannedVolume[];
  readonly containerEnv: Env;
  readonly args: readonly string[];
  /** For an empty database. */
  readonly initFiles: readonly ContainerFile[];
  /** For each of its containers. */
  readonly files: readonly ContainerFile[];
  readonly key: string;
  readonly keyParts: KeyParts;
  readonly target: Target;
}

/** @throws `invalid-settings` for what only the image or the workspace can tell */
export async function makePlan(
  settings: Settings,
  image: ImageFacts,
  who: RunIdentity,
): Promise<Plan> {
  const { engine, credentials } = settings;
  const { user, password, database } = credentials;
  const location = engine.location(image, settings.env);
  await requireFolder(settings.workingDirectory, who.cwd);
  const initFiles = await readFiles('init', settings.init, who.cwd);
  refuseSameNames(initFiles);
  const files = await resolveFiles(settings.files, who.cwd);
  const keyFiles = await readFiles('key-files', settings.keyFiles, who.cwd);
  const passwordHash = passwordFingerprint(password, user, database);
  const keyParts: KeyParts = [
    ...dataParts(
      engine.id,
      image,
      { user, database, passwordHash },
      location.dataPath,
      settings.extraVolumes,
    ),
    { name: 'args', value: argsPart(settings.args) },
    { name: 'quiesce', value: settings.quiesce },
    { name: 'trim', value: String(settings.trim) },
    ...(settings.workingDirectory === undefined
      ? []
      : [{ name: 'working-directory', value: settings.workingDirectory }]),
    { name: 'before-copy', value: scriptFingerprint(settings.beforeCopy) },
    // Values may be secrets: only their fingerprints are shown.
    ...Object.entries(settings.env).map(([name, value]) => ({
      name: `env ${name}`,
      value: secretFingerprint(value, `env ${name}`),
    })),
    { name: 'init', value: filesFingerprint(initFiles) },
    {
      name: 'files',
      value: filesFingerprint(files.map(({ path, file: { sha256 } }) => ({ path, sha256 }))),
    },
    { name: 'key-files', value: filesFingerprint(keyFiles) },
    { name: 'seed', value: scriptFingerprint(settings.seed) },
  ];

  const base = `snapvol-${who.owner.name}-${who.owner.run.slice(0, 8)}`;
  const volumeLabels = labelsFor(who.owner, 'volume');
  const volumes = [{ name: 'data', mountPath: location.mountPath }, ...settings.extraVolumes].map(
    ({ name, mountPath }): PlannedVolume => ({
      name,
      mountPath,
      volume: `${base}-${name}`,
      labels: { ...volumeLabels, [volumeNameLabel]: name, [engineLabel]: engine.id },
    }),
  );
  const inside = Object.fromEntries(
    volumes.map(({ name, mountPath }) => [mountPath, `where the volume ${name} is mounted`]),
  );
  const tmpfs = Object.keys(settings.options.tmpfs ?? {});
  refuseHiding(tmpfs, [
    ...Object.keys(inside),
    ...(engine.initPath !== undefined && initFiles.length > 0 ? [engine.initPath] : []),
  ]);
  requireOwnPlace(files, {
    ...Object.fromEntries(tmpfs.map((path) => [path, 'a tmpfs of "options", which hides it'])),
    ...inside,
  });
  return {
    name: who.owner.name,
    engine,
    image,
    credentials,
    containerName: base,
    containerPort: engine.port(image),
    dataPath: location.dataPath,
    volumes,
    containerEnv: { ...engine.containerEnv(credentials), ...settings.env },
    args: serverArgs(settings),
    initFiles: initFiles.map((file) => inFolder(engine.initPath ?? '', file)),
    files,
    key: settings.key ?? computeKey(keyParts),
    keyParts,
    target: {
      engine: engine.id,
      os: image.os,
      architecture: image.architecture,
      image: image.reference,
      imageVersion: engine.imageVersion(image),
      versionProblem: engine.versionProblem.bind(engine),
      dataPath: location.dataPath,
      volumes: Object.fromEntries(volumes.map(({ name, mountPath }) => [name, mountPath])),
      credentials: { user, database, passwordHash },
    },
  };
}

async function requireFolder(folder: string | undefined, cwd: string): Promise<void> {
  if (folder === undefined) return;
  const found = await stat(resolve(cwd, folder)).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new AppError(
    'invalid-settings',
    `working-directory: there is no folder ${folder} in ${cwd}`,
    {
      hint: 'Name one of the workspace, which is there before this step (actions/checkout)',
    },
  );
}

/** As they are, to explain a miss, unless one of them looks like a secret. */
function argsPart(args: readonly string[]): string {
  if (args.length === 0) return 'none';
  const text = JSON.stringify(args);
  return /pass|secret|token|auth|credential/i.test(text) ? secretFingerprint(text, 'args') : text;
}

function scriptFingerprint(script: string | undefined): string {
  return script === undefined ? 'none' : fingerprint(script);
}

/** Ours before the user's, which then win; a program or a file of settings that the user names stays in front. */
function serverArgs({ engine, credentials, durability, args }: Settings): string[] {
  const firstOption = args.findIndex((arg) => arg.startsWith('-'));
  const options = firstOption === -1 ? args.length : firstOption;
  return [
    ...args.slice(0, options),
    ...(durability === 'relaxed' ? engine.relaxedArgs : []),
    ...(engine.credentialArgs?.(credentials) ?? []),
    ...args.slice(options),
  ];
}

/** They all land in one folder of the container, where the second would replace the first. */
function refuseSameNames(initFiles: readonly KeyFile[]): void {
  const seen = new Map<string, string>();
  for (const { path } of initFiles) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const other = seen.get(name);
    if (other !== undefined) {
      throw new AppError('invalid-settings', `init: ${other} and ${path} have the same name`, {
        hint: 'Give them names of their own: they are copied into one folder',
      });
    }
    seen.set(name, path);
  }
}

/** The mode lets a script be run, instead of being read by another one. */
function inFolder(folder: string, file: KeyFile): ContainerFile {
  const name = file.path.slice(file.path.lastIndexOf('/') + 1);
  return { file, path: `${folder}/${name}`, mode: 0o755, owner: 0, group: 0 };
}

/** What is written to a tmpfs is in no snapshot. */
function refuseHiding(tmpfs: readonly string[], needed: readonly string[]): void {
  for (const path of tmpfs) {
    const other = needed.find(
      (each) => (longestPrefix([path], each) ?? longestPrefix([each], path)) !== undefined,
    );
    if (other === undefined) continue;
    throw new AppError('invalid-settings', `options: --tmpfs ${path} and ${other} overlap`, {
      hint: `The database needs what is in ${other}: mount the tmpfs elsewhere`,
    });
  }
}

/** The parts of a key that can be told from a database as it is; `start` adds what went into making it. */
export function dataParts(
  engineId: string,
  image: Pick<ImageFacts, 'reference' | 'architecture'>,
  { user, database, passwordHash }: DatabaseManifest['credentials'],
  dataPath: string,
  extraVolumes: readonly ExtraVolume[],
): KeyPart[] {
  return [
    { name: 'format', value: String(formatVersion) },
    { name: 'engine', value: engineId },
    { name: 'image', value: image.reference },
    { name: 'architecture', value: image.architecture },
    { name: 'user', value: user },
    { name: 'database', value: database },
    { name: 'password', value: passwordHash },
    { name: 'data-path', value: dataPath },
    ...extraVolumes.map(({ name, mountPath }) => ({ name: `volume ${name}`, value: mountPath })),
  ];
}
