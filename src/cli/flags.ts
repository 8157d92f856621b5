import type { InputName } from '../settings.ts';

/** One flag, as help shows it and as the arguments are read. */
export interface Flag {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** What stands for its value in help. Absent for a switch. */
  readonly value?: string;
  /** May be given several times: one line each. */
  readonly repeatable?: true;
  readonly about: string;
}

type FlagText = Omit<Flag, 'name'>;

/** The inputs of `start`. Every command that takes one of them takes it from here. */
const inputs: Readonly<Record<InputName, FlagText>> = {
  image: { value: 'IMAGE', about: "image of the database, e.g. postgres:17 (the engine's)" },
  engine: {
    value: 'ENGINE',
    about: 'kind of database, e.g. mysql; docs/engines.md has all (detected from the image)',
  },
  name: { value: 'NAME', about: 'the same as the argument NAME' },
  seed: { value: 'SCRIPT', about: 'shell script that fills the empty database, run on a miss' },
  init: { value: 'GLOB', repeatable: true, about: 'files for /docker-entrypoint-initdb.d' },
  check: { value: 'SCRIPT', about: 'must exit 0 before a save and after a restore' },
  'key-files': { value: 'GLOB', repeatable: true, about: 'files whose contents enter the key' },
  key: { value: 'KEY', about: 'key of the snapshot (computed)' },
  'restore-keys': {
    value: 'PREFIX',
    repeatable: true,
    about: 'keys of a base snapshot that the seed is run on',
  },
  store: {
    value: 'STORE',
    about: 'file:DIR, actions-cache or artifact ($SNAPVOL_STORE, else ~/.local/share/snapvol)',
  },
  'retention-days': { value: 'DAYS', about: "artifact: how long it is kept (the repository's)" },
  'store-timeout': {
    value: 'TIME',
    about: 'how long one look-up, load or save may take (10m; file:DIR 24 hours)',
  },
  'encrypt-to': {
    value: 'RECIPIENT',
    repeatable: true,
    about: 'age recipient that a new snapshot is encrypted for ($SNAPVOL_PASSPHRASE: with that)',
  },
  save: { value: 'WHEN', about: 'save a new snapshot: auto (where it pays), true or false (auto)' },
  'fail-on-miss': { about: 'fail instead of seeding when there is no snapshot' },
  'expect-digest': { value: 'SHA256', about: 'use no other snapshot than the one of this digest' },
  'require-provenance': {
    value: 'RULE',
    repeatable: true,
    about: 'use no snapshot that says otherwise, e.g. ref=refs/heads/main',
  },
  user: { value: 'USER', about: "user that the database is made with (the engine's)" },
  password: { value: 'PASSWORD', about: "password of that user (the engine's)" },
  database: { value: 'NAME', about: "database that is made (the engine's)" },
  port: { value: 'PORT', about: "port on this machine, 0 for any free one (the database's own)" },
  network: { value: 'NETWORK', about: 'Docker network to join, which must be there' },
  'network-alias': { value: 'NAME', about: 'its name in that network, and the host of the URL' },
  files: {
    value: 'LOCAL:/PATH',
    repeatable: true,
    about: 'files put into the container before it starts, e.g. my.cnf:/etc/mysql/conf.d/',
  },
  env: {
    value: 'NAME=VALUE',
    repeatable: true,
    about: 'environment of the container; several lines between quotes: \'NAME="..."\'',
  },
  args: { value: 'ARGS', repeatable: true, about: 'server arguments, e.g. "-c jit=off"' },
  options: {
    value: 'OPTIONS',
    about: 'of the container: --memory, --shm-size, --ulimit, --tmpfs, --cap-add',
  },
  durability: { value: 'KIND', about: 'relaxed (no fsync while tests run) or full (relaxed)' },
  'wait-timeout': { value: 'TIME', about: 'how long to wait until the database is ready (120)' },
  'stop-timeout': { value: 'TIME', about: 'how long it may take to stop cleanly (60)' },
  quiesce: { value: 'HOW', about: 'before a copy: stop, pause or none (stop)' },
  'before-copy': { value: 'SCRIPT', about: 'run before a copy with --quiesce none' },
  'after-copy': { value: 'SCRIPT', about: 'run after it, whatever happened' },
  'working-directory': {
    value: 'DIR',
    about: 'where the scripts run; patterns stay relative to the current folder',
  },
  trim: {
    value: 'BOOLEAN',
    about: 'leave out what a clean stop makes worthless: true or false (true)',
  },
  'volumes-extra': {
    value: 'NAME:/PATH',
    repeatable: true,
    about: 'more volumes for the same snapshot',
  },
  compression: { value: 'KIND', about: 'auto, zstd:1 (quick) to zstd:19 (small), or none (auto)' },
  'data-path': {
    value: '/PATH',
    about: "where the database keeps its data (the engine's; generic: the image's VOLUME)",
  },
  'container-port': {
    value: 'PORT',
    about: "generic, presets: port in the container (the image's EXPOSE)",
  },
  'ready-command': {
    value: 'COMMAND',
    about: 'generic, presets: exits 0 in the container when it serves',
  },
  url: { value: 'TEMPLATE', about: 'generic, presets: of the URL, e.g. redis://{host}:{port}' },
  copy: { value: 'HOW', about: "auto, pipe (the image's tar) or archive (Docker's API) (auto)" },
  'max-size': { value: 'SIZE', about: 'restore no snapshot that unpacks to more (100GB)' },
  reset: {
    value: 'HOW',
    about: 'how "reset" and clones are made possible: auto, overlay, reflink, copy, or off (auto)',
  },
  clones: {
    value: 'N',
    about: 'how many more databases to start from the same snapshot, NAME-1 to NAME-N (0)',
  },
};

export const storeFlags = ['store', 'store-timeout'] as const;

/** Of commands that take only some of the inputs. */
export function flags(...names: readonly InputName[]): Flag[] {
  return names.map((name) => ({ name, ...inputs[name] }));
}

/** All of them. A cast: the keys of a record over InputName. */
export const inputFlags: readonly Flag[] = flags(...(Object.keys(inputs) as InputName[]));

/** Taken by every command that reads snapshots. It is no input: those are no secrets. */
export const identity: Flag = {
  name: 'identity',
  value: 'FILE',
  repeatable: true,
  about: 'age identity that opens what is encrypted ($SNAPVOL_IDENTITY, $SNAPVOL_PASSPHRASE)',
};

/** Taken by every command. */
export const commonFlags: readonly Flag[] = [
  { name: 'json', about: 'print one JSON document on stdout, errors too' },
  { name: 'quiet', short: 'q', about: 'only warnings and errors beside the result' },
  { name: 'verbose', short: 'v', about: 'also what only matters when something is wrong' },
  { name: 'help', short: 'h', about: 'print this' },
];
