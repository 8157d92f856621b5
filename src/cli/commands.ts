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

export interface Command {
  readonly name: CommandName;
  /** The positional argument, if it takes one. */
  readonly argument?: { readonly name: string; readonly required: boolean };
  readonly about: string;
  /** More than one line of help has room for. */
  readonly notes: string;
  readonly flags: readonly Flag[];
  readonly example: string;
}

export const commandNames = [
  'start',
  'stop',
  'save',
  'restore',
  'list',
  'inspect',
  'verify',
  'rm',
  'import',
  'export',
] as const;
export type CommandName = (typeof commandNames)[number];

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
  save: { value: 'WHEN', about: 'save a new snapshot: auto, true or false (auto)' },
  'fail-on-miss': { about: 'fail instead of seeding when there is no snapshot' },
  user: { value: 'USER', about: "user that the database is made with (the engine's)" },
  password: { value: 'PASSWORD', about: "password of that user (the engine's)" },
  database: { value: 'NAME', about: "database that is made (the engine's)" },
  port: { value: 'PORT', about: "port on this machine, 0 for any free one (the database's own)" },
  network: { value: 'NETWORK', about: 'Docker network to join' },
  env: { value: 'NAME=VALUE', repeatable: true, about: 'environment of the container' },
  args: { value: 'ARGS', repeatable: true, about: 'server arguments, e.g. "-c jit=off"' },
  options: { value: 'OPTIONS', about: 'limits: "--memory 1g --shm-size 256m"' },
  durability: { value: 'KIND', about: 'relaxed (no fsync while tests run) or full (relaxed)' },
  'wait-timeout': { value: 'TIME', about: 'how long to wait until the database is ready (120)' },
  'stop-timeout': { value: 'TIME', about: 'how long it may take to stop cleanly (60)' },
  quiesce: { value: 'HOW', about: 'before a copy: stop, pause or none (stop)' },
  'before-copy': { value: 'SCRIPT', about: 'run before a copy with --quiesce none' },
  'after-copy': { value: 'SCRIPT', about: 'run after it, whatever happened' },
  'volumes-extra': {
    value: 'NAME:/PATH',
    repeatable: true,
    about: 'more volumes for the same snapshot',
  },
  compression: { value: 'KIND', about: 'zstd:1 (quick) to zstd:19 (small), or none (zstd:3)' },
  'data-path': {
    value: '/PATH',
    about: "generic, presets: where the data lies (the image's VOLUME)",
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
};

function flags(...names: readonly InputName[]): Flag[] {
  return names.map((name) => ({ name, ...inputs[name] }));
}

/** Taken by every command. */
export const commonFlags: readonly Flag[] = [
  { name: 'json', about: 'print one JSON document on stdout, errors too' },
  { name: 'quiet', short: 'q', about: 'only warnings and errors beside the result' },
  { name: 'verbose', short: 'v', about: 'also what only matters when something is wrong' },
  { name: 'help', short: 'h', about: 'print this' },
];

const key = { name: 'KEY', required: true };
const prefix = 'KEY may be shortened to a beginning that no other key has.';

export const commands: readonly Command[] = [
  {
    name: 'start',
    argument: { name: 'NAME', required: false },
    about: 'start a database: restored from its snapshot, else seeded and snapshotted',
    notes:
      'Prints the URL on stdout, password included, and nothing else. NAME is how "stop" and "save" find the ' +
      "database again; without it, it is the engine's.",
    flags: flags(...(Object.keys(inputs) as InputName[])), // the keys of a record over InputName
    example: `snapvol start shop --image postgres:17 --port 0 \\
    --key-files 'db/**' --seed 'psql -f db/schema.sql -f db/rows.sql'`,
  },
  {
    name: 'stop',
    argument: { name: 'NAME', required: true },
    about: 'remove a started database: its container and its volumes',
    notes: 'Snapshots stay, and so do volumes made by "restore".',
    flags: [],
    example: 'snapvol stop shop',
  },
  {
    name: 'save',
    argument: { name: 'NAME', required: true },
    about: 'snapshot what a started database holds now, under a key',
    notes:
      'The database is stopped for the copy (see --quiesce) and started again. A key that has a snapshot is refused.',
    flags: [
      { name: 'key', value: 'KEY', about: 'key of the new snapshot (required)' },
      ...flags('store', 'quiesce', 'before-copy', 'after-copy'),
      ...flags('compression', 'stop-timeout', 'wait-timeout', 'copy'),
    ],
    example: 'snapvol save shop --key shop-before-migration',
  },
  {
    name: 'restore',
    argument: key,
    about: 'make new volumes with what a snapshot holds',
    notes: `${prefix} All or nothing; a volume that exists is refused. The volumes are yours: "stop" leaves them.`,
    flags: [
      {
        name: 'volume',
        value: 'NAME',
        about: "name of the new volume; the snapshot's extra volumes get NAME-<extra>",
      },
      {
        name: 'image',
        value: 'IMAGE',
        about: "image of the helper container that copies (the snapshot's own)",
      },
      ...flags('store', 'copy'),
    ],
    example: 'snapvol restore shop-before-migration --volume shop-copy',
  },
  {
    name: 'list',
    about: 'list the snapshots of a store, newest first',
    notes: 'Only file:DIR can list.',
    flags: flags('store'),
    example: 'snapvol list',
  },
  {
    name: 'inspect',
    argument: key,
    about: 'show what a snapshot says of itself',
    notes: `${prefix} With --json the whole manifest.`,
    flags: flags('store'),
    example: 'snapvol inspect shop-before-migration',
  },
  {
    name: 'verify',
    argument: key,
    about: 'read every byte of a snapshot and compare its checksums',
    notes: prefix,
    flags: flags('store'),
    example: 'snapvol verify shop-before-migration',
  },
  {
    name: 'rm',
    argument: key,
    about: 'remove a snapshot from a store',
    notes: `${prefix} Only file:DIR can remove.`,
    flags: flags('store'),
    example: 'snapvol rm shop-before-migration',
  },
  {
    name: 'import',
    argument: { name: 'FILE', required: true },
    about: 'make a snapshot of a tar archive of volumes',
    notes:
      'FILE is a tar archive, plain or compressed with gzip or zstd, as "docker run ... tar" and "docker cp" make ' +
      'them; - is the standard input. Several volumes come out of one archive with --volume NAME=PREFIX for each. ' +
      'Needs no container engine.',
    flags: [
      {
        name: 'key',
        value: 'KEY',
        about: 'key of the new snapshot (NAME-YYYYMMDD-HHMMSS, in UTC)',
      },
      { name: 'name', value: 'NAME', about: 'what it is a snapshot of (the name of FILE)' },
      {
        name: 'volume',
        value: 'NAME[=PREFIX]',
        repeatable: true,
        about: 'name of the volume, and its folder in the archive (NAME; see --strip)',
      },
      {
        name: 'strip',
        value: 'PREFIX',
        about: 'folder of the archive that is the root of the volume: auto, none or a path (auto)',
      },
      { name: 'mount-path', value: '/PATH', about: 'where the volume was mounted (/PREFIX)' },
      { name: 'image', value: 'IMAGE', about: 'image of the container that it was mounted in' },
      ...flags('store', 'compression'),
    ],
    example: 'snapvol import backup.tar.gz --key shop-from-backup --volume shop_data',
  },
  {
    name: 'export',
    argument: key,
    about: 'write a volume of a snapshot as a plain tar archive',
    notes:
      `${prefix} Every tar reads the archive. It is verified while it is written: a FILE that is there is whole. ` +
      'Needs no container engine.',
    flags: [
      { name: 'volume', value: 'NAME', about: 'which volume (the only one)' },
      {
        name: 'prefix',
        value: 'PATH',
        about: 'in front of every path; . for ./ (where the volume was mounted)',
      },
      {
        name: 'output',
        short: 'o',
        value: 'FILE',
        about: 'where to, - for the standard output (VOLUME.FORMAT)',
      },
      {
        name: 'format',
        value: 'FORMAT',
        about: 'tar, tar.gz or tar.zst (as FILE ends, else tar.gz)',
      },
      { name: 'force', about: 'replace FILE if it exists' },
      ...flags('store'),
    ],
    example: 'snapvol export shop-before-migration --output backup.tar.gz',
  },
];
