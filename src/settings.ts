import type { Credentials, Engine, Env } from './engines/engine.ts';
import { chooseEngine } from './engines/index.ts';
import type { ContainerOptions } from './runtime/runtime.ts';
import { cloneMethods, type CloneMethod } from './runtime/volume-cloner.ts';
import { copyMethods, type Compression, type CopyMethod } from './runtime/volume-copier.ts';
import {
  absolutePath,
  containerFiles,
  countBetween,
  databaseName,
  digestText,
  durationMs,
  environment,
  extraVolumes,
  filePatterns,
  folderPath,
  hostName,
  keyLines,
  keyText,
  networkName,
  oneOf,
  parseCompression,
  parseOptions,
  portNumber,
  provenanceRules,
  splitWords,
  storageBytes,
  text,
  trueOrFalse,
  type ExtraVolume,
  type WantedFiles,
} from './setting-values.ts';
import type { Acceptance } from './snapshot/acceptance.ts';
import { quiesceMethods, type Quiesce } from './snapshot/manifest.ts';
import { defaultMaxBytes } from './snapshot/max-size.ts';
import { invalidSettings, readerOf, type Reader } from './settings-reader.ts';
import { readStore, type SettingsContext } from './store-settings.ts';
import type { StoreLocation } from './stores/location.ts';

export { credentialsIn, engineOf, uncleanProgram, unknownProgram } from './engines/index.ts';
export type { ExtraVolume, WantedFiles } from './setting-values.ts';

/** The inputs of the root action, which are the flags of `snapvol start`. */
export const inputNames = [
  'image',
  'engine',
  'name',
  'seed',
  'init',
  'check',
  'key-files',
  'key',
  'restore-keys',
  'store',
  'retention-days',
  'store-timeout',
  'encrypt-to',
  'save',
  'fail-on-miss',
  'expect-digest',
  'require-provenance',
  'user',
  'password',
  'database',
  'port',
  'network',
  'network-alias',
  'files',
  'env',
  'args',
  'options',
  'durability',
  'wait-timeout',
  'stop-timeout',
  'quiesce',
  'before-copy',
  'after-copy',
  'working-directory',
  'trim',
  'volumes-extra',
  'compression',
  'data-path',
  'container-port',
  'ready-command',
  'url',
  'copy',
  'max-size',
  'reset',
  'clones',
] as const;
export type InputName = (typeof inputNames)[number];

/** As given: text, and absent or empty for "not given". Only an empty `password` is one. */
export type RawInputs = Partial<Readonly<Record<InputName, string>>>;

/** How snapshots are copied and where they are kept: what `save` and `restore` take as well. */
export interface CopySettings {
  readonly key: string | undefined;
  readonly store: StoreLocation;
  readonly waitTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly quiesce: Quiesce;
  /** Scripts around a copy of a running database. */
  readonly beforeCopy: string | undefined;
  readonly afterCopy: string | undefined;
  /** Where all scripts run, from the workspace. */
  readonly workingDirectory: string | undefined;
  /** Whether what a clean stop makes worthless is left out. */
  readonly trim: boolean;
  readonly compression: Compression;
  readonly copy: CopyMethod | 'auto';
}

/** Inputs that only an engine reads. */
const engineInputNames = ['data-path', 'container-port', 'ready-command', 'url'] as const;

/** What the user wants, parsed once. */
export interface Settings extends CopySettings {
  readonly engine: Engine;
  /** What the engine was made from, as given, so that a later run can make the same one. */
  readonly engineInputs: RawInputs;
  readonly image: string;
  readonly name: string;
  readonly seed: string | undefined;
  readonly init: readonly string[];
  readonly check: string | undefined;
  readonly keyFiles: readonly string[];
  readonly restoreKeys: readonly string[];
  readonly save: 'auto' | 'true' | 'false';
  readonly failOnMiss: boolean;
  readonly acceptance: Acceptance;
  readonly credentials: Credentials;
  /** Host port; `undefined`: the container's own number, 0: any free one. */
  readonly port: number | undefined;
  readonly network: string | undefined;
  /** Its name in that network. */
  readonly networkAlias: string | undefined;
  readonly files: readonly WantedFiles[];
  readonly env: Env;
  readonly args: readonly string[];
  readonly options: ContainerOptions;
  readonly durability: 'relaxed' | 'full';
  readonly extraVolumes: readonly ExtraVolume[];
  /** Larger snapshots are not restored: of all tar streams, with holes of files written out. */
  readonly maxBytes: number;
  /** How the volumes are made that the database writes to, so that it can be put back; `off`: it writes to the only ones. */
  readonly reset: CloneMethod | 'auto' | 'off';
  /** How many databases more are made from the same snapshot. */
  readonly clones: number;
}

/** More on one machine would only wait for each other. */
export const maxClones = 64;

/**
 * Reads all inputs and reports all problems at once.
 * @throws `invalid-settings` with a line per problem in `details`
 */
export function parseSettings(raw: RawInputs, context: SettingsContext): Settings {
  const reader = readerOf(raw);
  const { problems, read, attempt } = reader;

  const engineId = read('engine', text, undefined);
  const image = read('image', text, undefined);
  if (engineId === undefined && image === undefined) {
    problems.push('image: give "image" (e.g. postgres:17) or "engine" (e.g. postgres)');
  }
  const port = read('port', portNumber, undefined);
  const generic = {
    dataPath: read('data-path', absolutePath, undefined),
    port: read('container-port', portNumber, undefined),
    readyCommand: read('ready-command', text, undefined),
    url: read('url', text, undefined),
  };
  const engine =
    engineId === undefined && image === undefined
      ? undefined
      : attempt(
          () => chooseEngine(engineId, image, generic),
          undefined,
          (problem) => problem,
        );
  if (engine && engine.defaultImage === undefined && image === undefined) {
    problems.push(`image: engine ${engine.id} has no default image`);
  }
  const env = read('env', environment, {});
  const credentials = readCredentials(reader, raw.password, engine, env);
  if (engine) problems.push(...contradictions(engine, env));
  const init = read('init', filePatterns(context.home), []);
  if (engine && engine.initPath === undefined && init.length > 0) {
    problems.push(`init: images of engine ${engine.id} take no init files; use "seed"`);
  }

  const settings = {
    image: image ?? engine?.defaultImage ?? '',
    name: read('name', databaseName, engine?.id ?? ''),
    seed: read('seed', text, undefined),
    init,
    check: read('check', text, undefined),
    keyFiles: read('key-files', filePatterns(context.home), []),
    restoreKeys: read('restore-keys', keyLines, []),
    save: read('save', oneOf(['auto', 'true', 'false']), 'auto'),
    failOnMiss: read('fail-on-miss', trueOrFalse, false),
    acceptance: readAcceptance(reader),
    credentials,
    port,
    network: read('network', networkName, undefined),
    networkAlias: read('network-alias', hostName, undefined),
    files: read('files', containerFiles(context.home), []),
    env,
    args: read('args', splitWords, []),
    options: read('options', parseOptions, {}),
    durability: read('durability', oneOf(['relaxed', 'full']), 'relaxed'),
    extraVolumes: read('volumes-extra', extraVolumes, []),
    maxBytes: read('max-size', storageBytes, defaultMaxBytes),
    reset: read('reset', oneOf(['auto', ...cloneMethods, 'off']), 'auto'),
    clones: read('clones', countBetween(0, maxClones), 0),
    ...readCopySettings(reader, context),
  } as const;

  if (settings.clones > 0 && !keepsGolden(settings)) {
    problems.push('clones: they need "quiesce" to be "stop", and "reset" not to be "off"');
  }
  if (settings.networkAlias !== undefined && settings.network === undefined) {
    problems.push('network-alias: it is a name in a network: give "network", too');
  }
  if (!engine || problems.length > 0) throw invalidSettings(problems);
  const engineInputs = Object.fromEntries(
    engineInputNames.flatMap((name) => (raw[name]?.trim() ? [[name, raw[name]]] : [])),
  );
  return { ...settings, engine, engineInputs };
}

/**
 * Whether the volumes are kept as the snapshot has them. Only what was stopped cleanly can be: a copy of a running server
 * is not what its own volumes hold when it ends.
 */
export const keepsGolden = ({ reset, quiesce }: Pick<Settings, 'reset' | 'quiesce'>): boolean =>
  reset !== 'off' && quiesce === 'stop';

/** Variables by which the image gets the login, or would make another one than "user" and "password" say. */
function contradictions(engine: Engine, env: Env): string[] {
  const mark = '\0';
  const own = Object.entries(
    engine.containerEnv({ user: mark, password: mark, database: mark }),
  ).flatMap(([name, value]) => (value.includes(mark) ? [name] : []));
  return [...own, ...(engine.otherLogin ?? [])]
    .flatMap((name) => [name, `${name}_FILE`])
    .filter((name) => name in env)
    .map((name) => `env: ${name}: the login is set by "user", "password" and "database"`);
}

/** Whether the image is told to take an empty password. */
function takesEmptyPassword({ emptyPassword = [] }: Engine, env: Env): boolean {
  return emptyPassword.some((variable) => {
    const [name = '', wanted] = variable.split('=');
    const value = env[name] ?? '';
    return wanted === 'yes' ? !/^(0|n|no|off|false|)$/i.test(value) : value === wanted;
  });
}

/** @param given the password as it is: an empty one is no default */
function readCredentials(
  { read, problems }: Reader,
  given: string | undefined,
  engine: Engine | undefined,
  env: Env,
): Credentials {
  const defaults: Credentials = engine?.defaults ?? { user: '', password: '', database: '' };
  const user = read('user', text, defaults.user);
  const database =
    user === defaults.user
      ? defaults.database
      : (engine?.defaultDatabase?.(user) ?? defaults.database);
  const mayBeEmpty = !engine || defaults.password === '' || takesEmptyPassword(engine, env);
  if (given?.trim() === '' && !mayBeEmpty) {
    const [variable] = engine.emptyPassword ?? [];
    problems.push(
      variable === undefined
        ? `password: images of ${engine.id} take no empty one`
        : `password: images of ${engine.id} take an empty one only with ${variable} in "env"`,
    );
  }
  const credentials = {
    user,
    password: read('password', text, mayBeEmpty ? '' : defaults.password),
    database: read('database', text, database),
  };
  const problem = engine?.credentialsProblem?.(credentials);
  if (problem !== undefined) problems.push(problem);
  return credentials;
}

/** As {@link parseSettings}, for what needs no engine. Inputs that it does not know are ignored. */
export function parseCopySettings(raw: RawInputs, context: SettingsContext): CopySettings {
  const reader = readerOf(raw);
  const settings = readCopySettings(reader, context);
  if (reader.problems.length > 0) throw invalidSettings(reader.problems);
  return settings;
}

export function readCopySettings(reader: Reader, context: SettingsContext): CopySettings {
  const { read, problems } = reader;
  const quiesce = read('quiesce', oneOf(quiesceMethods), 'stop');
  const beforeCopy = read('before-copy', text, undefined);
  const afterCopy = read('after-copy', text, undefined);
  if (quiesce !== 'none' && (beforeCopy ?? afterCopy) !== undefined) {
    problems.push('quiesce: "before-copy" and "after-copy" are run with "quiesce" none only');
  }
  return {
    quiesce,
    beforeCopy,
    afterCopy,
    workingDirectory: read('working-directory', folderPath, undefined),
    trim: read('trim', trueOrFalse, true),
    key: read('key', keyText, undefined),
    store: readStore(reader, context),
    waitTimeoutMs: read('wait-timeout', durationMs, 120_000),
    stopTimeoutMs: read('stop-timeout', durationMs, 60_000),
    compression: read('compression', parseCompression, { kind: 'zstd', level: 'auto' } as const),
    copy: read('copy', oneOf(['auto', ...copyMethods]), 'auto'),
  };
}

export function readAcceptance({ read }: Reader): Acceptance {
  return {
    digest: read('expect-digest', digestText, undefined),
    provenance: read('require-provenance', provenanceRules, []),
  };
}
