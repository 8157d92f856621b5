import type { Credentials, Engine, Env } from './engines/engine.ts';
import { chooseEngine } from './engines/index.ts';
import { AppError, messageOf } from './errors.ts';
import { copyMethods, type Compression, type CopyMethod } from './runtime/volume-copier.ts';
import { keyProblem } from './snapshot/key.ts';
import { parseStore, type StoreLocation } from './stores/location.ts';

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
  'save',
  'fail-on-miss',
  'user',
  'password',
  'database',
  'port',
  'network',
  'env',
  'args',
  'options',
  'durability',
  'wait-timeout',
  'stop-timeout',
  'volumes-extra',
  'compression',
  'data-path',
  'container-port',
  'ready-command',
  'url',
  'copy',
] as const;
export type InputName = (typeof inputNames)[number];

/** As given: text, and absent or empty for "not given". */
export type RawInputs = Partial<Readonly<Record<InputName, string>>>;

export interface ExtraVolume {
  readonly name: string;
  readonly mountPath: string;
}

/** How snapshots are copied and where they are kept: what `save` and `restore` take as well. */
export interface CopySettings {
  readonly key: string | undefined;
  readonly store: StoreLocation;
  readonly waitTimeoutMs: number;
  readonly stopTimeoutMs: number;
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
  readonly credentials: Credentials;
  /** Host port; `undefined`: the container's own number, 0: any free one. */
  readonly port: number | undefined;
  readonly network: string | undefined;
  readonly env: Env;
  readonly args: readonly string[];
  readonly memoryBytes: number | undefined;
  readonly shmBytes: number | undefined;
  readonly durability: 'relaxed' | 'full';
  readonly extraVolumes: readonly ExtraVolume[];
}

export interface SettingsContext {
  /** Where `store` is not given. */
  readonly defaultStore: string;
}

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
  const defaults: Credentials = engine?.defaults ?? { user: '', password: '', database: '' };
  const user = read('user', text, defaults.user);
  const options = read<ContainerOptions, ContainerOptions>('options', parseOptions, {});

  const settings = {
    image: image ?? engine?.defaultImage ?? '',
    name: read('name', databaseName, engine?.id ?? ''),
    seed: read('seed', text, undefined),
    init: read('init', lines, []),
    check: read('check', text, undefined),
    keyFiles: read('key-files', lines, []),
    restoreKeys: read('restore-keys', keyLines, []),
    save: read('save', oneOf(['auto', 'true', 'false']), 'auto'),
    failOnMiss: read('fail-on-miss', trueOrFalse, false),
    credentials: {
      user,
      password: read('password', text, defaults.password),
      // As the images have it: a user without a database named gets one of the user's name.
      database: read('database', text, user === defaults.user ? defaults.database : user),
    },
    port,
    network: read('network', text, undefined),
    env: read('env', environment, {}),
    args: read('args', splitWords, []),
    memoryBytes: options.memoryBytes,
    shmBytes: options.shmBytes,
    durability: read('durability', oneOf(['relaxed', 'full']), 'relaxed'),
    extraVolumes: read('volumes-extra', extraVolumes, []),
    ...readCopySettings(reader, context),
  } as const;

  if (!engine || problems.length > 0) throw invalidSettings(problems);
  const engineInputs = Object.fromEntries(
    engineInputNames.flatMap((name) => (raw[name]?.trim() ? [[name, raw[name]]] : [])),
  );
  return { ...settings, engine, engineInputs };
}

/** As {@link parseSettings}, for what needs no engine. Inputs that it does not know are ignored. */
export function parseCopySettings(raw: RawInputs, context: SettingsContext): CopySettings {
  const reader = readerOf(raw);
  const settings = readCopySettings(reader, context);
  if (reader.problems.length > 0) throw invalidSettings(reader.problems);
  return settings;
}

function readCopySettings({ read }: Reader, context: SettingsContext): CopySettings {
  return {
    key: read('key', keyText, undefined),
    store: read('store', parseStore, parseStore(context.defaultStore)),
    waitTimeoutMs: read('wait-timeout', durationMs, 120_000),
    stopTimeoutMs: read('stop-timeout', durationMs, 60_000),
    compression: read('compression', parseCompression, { kind: 'zstd', level: 3 } as const),
    copy: read('copy', oneOf(['auto', ...copyMethods]), 'auto'),
  };
}

type Reader = ReturnType<typeof readerOf>;

/** Reads inputs one by one; what is wrong with them is noted in `problems`. */
function readerOf(raw: RawInputs) {
  const problems: string[] = [];

  /** The parsed input, or `fallback` when it is not given or cannot be read (the problem is noted). */
  function read<T, F>(name: InputName, parse: (text: string) => T, fallback: F): T | F {
    const text = raw[name]?.trim() ?? '';
    if (text === '') return fallback;
    return attempt(
      () => parse(text),
      fallback,
      (problem) => `${name}: ${problem}`,
    );
  }
  function attempt<T, F>(work: () => T, fallback: F, describe: (problem: string) => string): T | F {
    try {
      return work();
    } catch (error) {
      const hint = error instanceof AppError && error.hint !== undefined ? `. ${error.hint}` : '';
      problems.push(describe(messageOf(error) + hint));
      return fallback;
    }
  }
  return { problems, read, attempt };
}

function invalidSettings(problems: readonly string[]): AppError {
  return new AppError(
    'invalid-settings',
    problems.length === 1
      ? (problems[0] ?? '')
      : `${problems.length} settings are wrong: ${problems.join('; ')}`,
    { details: problems },
  );
}

const text = (value: string): string => value;

function oneOf<const T extends string>(choices: readonly T[]) {
  return (value: string): T => {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw new Error(`"${value}" is not one of ${choices.join(', ')}`);
  };
}

const trueOrFalse = (value: string): boolean =>
  oneOf(['true', 'false'])(value.toLowerCase()) === 'true';

function lines(value: string): string[] {
  return value
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function keyText(value: string): string {
  const problem = keyProblem(value);
  if (problem !== undefined) throw new Error(`the key ${problem}`);
  return value;
}

function keyLines(value: string): string[] {
  const keys = lines(value).map(keyText);
  if (keys.length > 9)
    throw new Error(`${keys.length} given, GitHub's cache takes at most 9 beside the key`);
  return keys;
}

function portNumber(value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port > 65_535)
    throw new Error(`"${value}" is not a port (0 to 65535)`);
  return port;
}

function absolutePath(value: string): string {
  if (!value.startsWith('/'))
    throw new Error(`"${value}" is not an absolute path in the container`);
  return value.replace(/(?<=.)\/+$/, '');
}

function databaseName(value: string): string {
  if (/^[a-z0-9][a-z0-9_.-]{0,39}$/.test(value)) return value;
  throw new Error(
    `"${value}" must be 1 to 40 of a-z, 0-9, ".", "_", "-", and begin with a letter or digit`,
  );
}

function environment(value: string): Env {
  return Object.fromEntries(
    lines(value).map((line) => {
      const match = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
      if (!match) throw new Error(`"${line.replace(/=.*/, '=...')}" is not NAME=VALUE`);
      return [match[1] ?? '', match[2] ?? ''];
    }),
  );
}

function durationMs(value: string): number {
  const match = /^(\d+)(s|m)?$/.exec(value);
  const seconds = Number(match?.[1]) * (match?.[2] === 'm' ? 60 : 1);
  if (!match || seconds < 1 || seconds > 86_400) {
    throw new Error(`"${value}" is not a time: seconds like 120, or 2m`);
  }
  return seconds * 1000;
}

function extraVolumes(value: string): ExtraVolume[] {
  const volumes = lines(value).map((line) => {
    const match = /^([a-z0-9][a-z0-9_.-]{0,39}):(\/.+)$/.exec(line);
    if (!match) throw new Error(`"${line}" is not NAME:/PATH/IN/CONTAINER`);
    return { name: match[1] ?? '', mountPath: absolutePath(match[2] ?? '') };
  });
  const names = new Set(volumes.map((volume) => volume.name));
  if (names.size < volumes.length) throw new Error('a volume name is given twice');
  if (names.has('data')) throw new Error('"data" is the name of the database\'s own volume');
  return volumes;
}

function parseCompression(value: string): Compression {
  if (value === 'none') return { kind: 'none' };
  const match = /^zstd(?::(\d+))?$/.exec(value);
  const level = Number(match?.[1] ?? 3);
  if (!match || level < 1 || level > 19)
    throw new Error(`"${value}" is not zstd:1 ... zstd:19 or none`);
  return { kind: 'zstd', level };
}

interface ContainerOptions {
  readonly memoryBytes?: number;
  readonly shmBytes?: number;
}

/** `--memory 1g --shm-size 256m`, as `docker run` has them. */
function parseOptions(value: string): ContainerOptions {
  const result: { memoryBytes?: number; shmBytes?: number } = {};
  const words = splitWords(value).flatMap((word) => word.split('='));
  for (let i = 0; i < words.length; i += 2) {
    const [option, size = ''] = words.slice(i, i + 2);
    if (option === '--memory' || option === '-m') result.memoryBytes = sizeBytes(size);
    else if (option === '--shm-size') result.shmBytes = sizeBytes(size);
    else throw new Error(`"${option ?? ''}" is not supported, only --memory and --shm-size`);
  }
  return result;
}

function sizeBytes(value: string): number {
  const match = /^(\d+)([bkmg])?b?$/i.exec(value);
  if (!match) throw new Error(`"${value}" is not a size like 512m or 1g`);
  const power = 'bkmg'.indexOf((match[2] ?? 'b').toLowerCase());
  return Number(match[1]) * 1024 ** power;
}

/** Words between white space; single or double quotes keep white space in a word. */
function splitWords(value: string): string[] {
  if (/["']/.test(value.replaceAll(/"[^"]*"|'[^']*'/g, '')))
    throw new Error('a quote is not closed');
  return [...value.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  );
}
