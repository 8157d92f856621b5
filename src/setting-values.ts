import { posix } from 'node:path';

import type { Env } from './engines/engine.ts';
import { atHome } from './paths.ts';
import type { ContainerOptions, Ulimit } from './runtime/runtime.ts';
import type { Compression } from './runtime/volume-copier.ts';
import { keyProblem } from './snapshot/key.ts';
import { provenanceNames, type ProvenanceRule } from './snapshot/acceptance.ts';
import type { Sample } from './snapshot/sample.ts';

// From the text of one input to what it means. Each throws an Error that says what is wrong with the text.

export interface ExtraVolume {
  readonly name: string;
  readonly mountPath: string;
}

export const text = (value: string): string => value;

export function oneOf<const T extends string>(choices: readonly T[]) {
  return (value: string): T => {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw new Error(`"${value}" is not one of ${choices.join(', ')}`);
  };
}

export const trueOrFalse = (value: string): boolean =>
  oneOf(['true', 'false'])(value.toLowerCase()) === 'true';

export function lines(value: string): string[] {
  return value
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** Patterns of files of this machine, one a line. @param home what `~/` stands for */
export function filePatterns(home: string | undefined) {
  return (value: string): string[] =>
    lines(value).map((line) =>
      line.startsWith('!') ? `!${atHome(line.slice(1), home)}` : atHome(line, home),
    );
}

export function keyText(value: string): string {
  const problem = keyProblem(value);
  if (problem !== undefined) throw new Error(`the key ${problem}`);
  return value;
}

export function keyLines(value: string): string[] {
  const keys = lines(value).map(keyText);
  if (keys.length > 9)
    throw new Error(`${keys.length} given, GitHub's cache takes at most 9 beside the key`);
  return keys;
}

export function digestText(value: string): string {
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  throw new Error(
    `"${value}" is not a digest: 64 digits of sha256, as in the output snapshot-digest`,
  );
}

/** `NAME=PATTERN`, one a line. Several of one name: one of them has to match. */
export function provenanceRules(value: string): ProvenanceRule[] {
  const pairs = lines(value).map((line) => {
    const at = line.indexOf('=');
    const name = provenanceNames.find((each) => each === line.slice(0, Math.max(0, at)).trim());
    const pattern = line.slice(at + 1).trim();
    if (name !== undefined && pattern !== '') return { name, pattern };
    throw new Error(`"${line}" is not NAME=PATTERN, NAME being ${provenanceNames.join(', ')}`);
  });
  return [...Map.groupBy(pairs, ({ name }) => name)].map(([name, those]) => ({
    name,
    patterns: those.map(({ pattern }) => pattern),
  }));
}

export function portNumber(value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port > 65_535)
    throw new Error(`"${value}" is not a port (0 to 65535)`);
  return port;
}

export function countBetween(least: number, most: number) {
  return (value: string): number => {
    const count = Number(value);
    if (/^\d+$/.test(value) && count >= least && count <= most) return count;
    throw new Error(`"${value}" is not a number from ${least} to ${most}`);
  };
}

export function absolutePath(value: string): string {
  if (!value.startsWith('/'))
    throw new Error(`"${value}" is not an absolute path in the container`);
  return value.replace(/(?<=.)\/+$/, '');
}

/** One way to write one folder: it enters the key. */
export const folderPath = (value: string): string | undefined => {
  const path = posix.join(value, '.').replace(/(?<=.)\/$/, '');
  return path === '.' ? undefined : path;
};

export function databaseName(value: string): string {
  if (/^[a-z0-9][a-z0-9_.-]{0,39}$/.test(value)) return value;
  throw new Error(
    `"${value}" must be 1 to 40 of a-z, 0-9, ".", "_", "-", and begin with a letter or digit`,
  );
}

/**
 * `NAME=VALUE`, one a line. A value between quotes may go over several lines; what is between them is taken as it is,
 * there are no escapes. Any other value is as it stands, with the quotes in it. No message repeats a value: it may be a
 * secret.
 */
export function environment(value: string): Env {
  const env = new Map<string, string>();
  const given = value.split('\n');
  for (let at = 0; at < given.length; at += 1) {
    const line = (given[at] ?? '').trim();
    if (line === '') continue;
    const [, name, unquoted] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? [];
    if (name === undefined || unquoted === undefined) {
      throw new Error(`line ${at + 1} is not NAME=VALUE; quote a value of several lines`);
    }
    if (env.has(name)) throw new Error(`line ${at + 1}: ${name} is given twice`);
    const rest = given
      .slice(at)
      .join('\n')
      .trimStart()
      .slice(name.length + 1);
    const quoted = quotedValue(rest, `line ${at + 1}: the quote of ${name}`);
    env.set(name, quoted ?? unquoted);
    at += (quoted ?? '').split('\n').length - 1;
  }
  return Object.fromEntries(env);
}

/** What is between the quotes that `text` begins with; `undefined` where they do not hold all of its first lines. */
function quotedValue(text: string, what: string): string | undefined {
  const [quote = ''] = text;
  if (!`"'`.includes(quote) || quote === '') return undefined;
  const end = text.indexOf(quote, 1);
  if (end === -1) throw new Error(`${what} is not closed`);
  const value = text.slice(1, end);
  if (/^[^\S\n]*(\n|$)/.test(text.slice(end + 1))) return value;
  // Such as "a","b": as it stands.
  if (!value.includes('\n')) return undefined;
  throw new Error(`${what} is closed in the middle of a line`);
}

/** Networks that containers have without any of their own, and why a database is not started in them. */
const unusableNetworks: Readonly<Record<string, string>> = {
  host: 'every database would take the port of its image on all addresses of the machine; without "network" the port is published on this machine',
  none: 'nobody could connect to the database; leave "network" out',
};

/** A network of the engine; `undefined` for its own one, where ports are published. Whether it is there, the engine knows. */
export function networkName(value: string): string | undefined {
  if (value === 'bridge' || value === 'default') return undefined;
  const reason = value.startsWith('container:')
    ? 'the port of the database would be one of the other container; join the network that it is in, by name'
    : unusableNetworks[value];
  if (reason !== undefined) throw new Error(`"${value}" cannot be used: ${reason}`);
  return value;
}

export function hostName(value: string): string {
  if (/^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$/i.test(value)) return value;
  throw new Error(`"${value}" is not a name of a host: letters, digits, ".", "_", "-"`);
}

export function durationMs(value: string): number {
  const match = /^(\d+)(s|m)?$/.exec(value);
  const seconds = Number(match?.[1]) * (match?.[2] === 'm' ? 60 : 1);
  if (!match || seconds < 1 || seconds > 86_400) {
    throw new Error(`"${value}" is not a time: seconds like 120, or 2m`);
  }
  return seconds * 1000;
}

const unitSeconds: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

/** How old a thing may be: `7d`, `12h`, `2w`. With its unit always: a bare number may mean days to who writes it. */
export function ageMs(value: string): number {
  const match = /^(\d+) ?([smhdw])$/.exec(value);
  const ms = Number(match?.[1]) * (unitSeconds[match?.[2] ?? ''] ?? 0) * 1000;
  if (!match || ms === 0) throw new Error(`"${value}" is not an age like 12h, 7d or 2w`);
  return ms;
}

/** Room on a disk: `5GB` is powers of 1000, as sizes are printed, `5GiB` of 1024. A bare number is refused. */
export function storageBytes(value: string): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:([KMGT])(i?))?B$/i.exec(value);
  const power = ['', 'K', 'M', 'G', 'T'].indexOf((match?.[2] ?? '').toUpperCase());
  const bytes = Math.floor(Number(match?.[1]) * (match?.[3] ? 1024 : 1000) ** power);
  if (!match || bytes < 1) throw new Error(`"${value}" is not a size like 500MB, 5GB or 5GiB`);
  return bytes;
}

export function countOf(value: string): number {
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new Error(`"${value}" is not a number of 1 or more`);
}

export function parseSample(value: string): Sample {
  const match = /^(\d{1,9})(%?)$/.exec(value);
  const number = Number(match?.[1]);
  if (!match || number < 1 || (match[2] && number > 100)) {
    throw new Error(`"${value}" is neither a number like 3 nor a share like 20%`);
  }
  return match[2] ? { kind: 'share', percent: number } : { kind: 'count', count: number };
}

/** GitHub's own limits. */
export function retentionDays(value: string): number {
  const days = Number(value);
  if (!/^\d+$/.test(value) || days < 1 || days > 90)
    throw new Error(`"${value}" is not a number of days from 1 to 90`);
  return days;
}

export function extraVolumes(value: string): ExtraVolume[] {
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

/** What of this machine is put into a container: a file, or all of a folder. */
export interface WantedFiles {
  readonly local: string;
  /** Absolute. With a slash at its end, a file keeps its name in it. */
  readonly target: string;
  readonly owner: number;
  readonly group: number;
}

/** `LOCAL:/PATH/IN/CONTAINER`, one a line; `:UID` or `:UID:GID` behind it is the owner, else root. @param home as above */
export function containerFiles(home: string | undefined) {
  return (value: string): WantedFiles[] => lines(value).map((line) => filesOfLine(line, home));
}

/** The kernel's one below "nobody in particular" (https://man7.org/linux/man-pages/man2/chown.2.html). */
const largestId = 4_294_967_294;

function filesOfLine(line: string, home: string | undefined): WantedFiles {
  const match = /^(.+?):(\/[^:]*)(?::(\d{1,10})(?::(\d{1,10}))?)?$/.exec(line);
  const [, local = '', path = '', owner = '0', group = owner] = match ?? [];
  if (!match) throw new Error(`"${line}" is not LOCAL:/PATH/IN/CONTAINER[:UID[:GID]]`);
  const target = posix.normalize(path);
  if (local.startsWith('!')) throw new Error(`"${line}" takes nothing out: name what goes in`);
  if (Number(owner) > largestId || Number(group) > largestId)
    throw new Error(`"${line}": the ids of owners go up to ${largestId}`);
  return { local: atHome(local, home), target, owner: Number(owner), group: Number(group) };
}

export function parseCompression(value: string): Compression {
  if (value === 'none') return { kind: 'none' };
  if (value === 'auto' || value === 'zstd') return { kind: 'zstd', level: 'auto' };
  const level = Number(/^zstd:(\d+)$/.exec(value)?.[1] ?? 0);
  if (level < 1 || level > 19)
    throw new Error(`"${value}" is not auto, zstd:1 ... zstd:19 or none`);
  return { kind: 'zstd', level };
}

/** What each option adds to those before it. */
const containerOptions: Readonly<
  Record<string, (value: string, before: ContainerOptions) => ContainerOptions>
> = {
  '--memory': (value) => ({ memoryBytes: sizeBytes(value) }),
  '-m': (value) => ({ memoryBytes: sizeBytes(value) }),
  '--shm-size': (value) => ({ shmBytes: sizeBytes(value) }),
  '--ulimit': (value, { ulimits = [] }) => ({ ulimits: [...ulimits, ulimit(value)] }),
  '--tmpfs': (value, { tmpfs }) => ({ tmpfs: { ...tmpfs, ...tmpfsMount(value) } }),
  '--cap-add': (value, { capAdd = [] }) => ({ capAdd: [...capAdd, capability(value)] }),
};

/** `--memory 1g --ulimit nofile=1024:2048`, as `docker run` has them. */
export function parseOptions(value: string): ContainerOptions {
  let result: ContainerOptions = {};
  const words = splitWords(value);
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [, option = word, joined] = /^(-[^=]*)=(.*)$/s.exec(word) ?? [];
    const add = Object.hasOwn(containerOptions, option) ? containerOptions[option] : undefined;
    if (!add) {
      const known = Object.keys(containerOptions).filter((each) => each !== '-m');
      throw new Error(`"${option}" is not supported, only ${known.join(', ')}`);
    }
    const given = joined ?? words.shift();
    if (given === undefined) throw new Error(`${option} needs a value`);
    result = { ...result, ...add(given, result) };
  }
  return result;
}

function ulimit(value: string): Ulimit {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(value) ?? [];
  if (name !== undefined) return { name, soft: Number(soft), hard: Number(hard) };
  throw new Error(`"${value}" is not a limit like nofile=1024 or nofile=1024:2048`);
}

function tmpfsMount(value: string): Readonly<Record<string, string>> {
  const [, path = '', options = ''] = /^([^:]*):?(.*)$/s.exec(value) ?? [];
  return { [absolutePath(path)]: options };
}

function capability(value: string): string {
  if (/^[a-z_]+$/i.test(value)) return value.toUpperCase();
  throw new Error(`"${value}" is not a capability like SYS_NICE`);
}

function sizeBytes(value: string): number {
  const match = /^(\d+)([bkmg])?b?$/i.exec(value);
  if (!match) throw new Error(`"${value}" is not a size like 512m or 1g`);
  const power = 'bkmg'.indexOf((match[2] ?? 'b').toLowerCase());
  return Number(match[1]) * 1024 ** power;
}

/** Words between white space; single or double quotes keep white space in a word. */
export function splitWords(value: string): string[] {
  if (/["']/.test(value.replaceAll(/"[^"]*"|'[^']*'/g, '')))
    throw new Error('a quote is not closed');
  return [...value.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'),
  );
}

/** As `age-keygen` prints them. Whether they are whole is checked where they are used. */
export function ageRecipients(value: string): string[] {
  const recipients = lines(value);
  if (/AGE-SECRET-KEY/i.test(value)) {
    throw new Error('a secret key is none of its recipients: "age-keygen -y FILE" prints that');
  }
  const strange = recipients.find((line) => !/^age1[0-9a-z]+$/.test(line));
  if (strange !== undefined) throw new Error(`"${strange}" is not an age recipient, age1...`);
  return recipients;
}
