import { flags, identity, inputFlags, storeFlags, type Flag } from './flags.ts';

export interface Argument {
  readonly name: string;
  readonly required: boolean;
  /** May be given several times, or not at all: one line each. */
  readonly repeatable?: true;
}

export interface Command {
  readonly name: CommandName;
  /** The positional argument, if it takes one. */
  readonly argument?: Argument;
  readonly about: string;
  /** More than one line of help has room for. */
  readonly notes: string;
  readonly flags: readonly Flag[];
  readonly example: string;
}

export const commandNames = [
  'start',
  'stop',
  'reset',
  'clone',
  'save',
  'restore',
  'recover',
  'list',
  'inspect',
  'verify',
  'rm',
  'prune',
  'import',
  'export',
] as const;
export type CommandName = (typeof commandNames)[number];

const key = { name: 'KEY', required: true };
const prefix =
  'KEY may also be a name, which stands for its newest snapshot, or the beginning of a key that no other key has.';

export const commands: readonly Command[] = [
  {
    name: 'start',
    argument: { name: 'NAME', required: false },
    about: 'start a database: restored from its snapshot, else seeded and snapshotted',
    notes:
      'Prints the URL on stdout, password included, and nothing else; with --clones also theirs, one a line. NAME is how ' +
      '"stop", "save", "reset" and "clone" find the database again; without it, it is the engine\'s.',
    flags: [...inputFlags, identity],
    example: `snapvol start shop --image postgres:17 --port 0 \\
    --key-files 'db/**' --seed 'psql -f db/schema.sql -f db/rows.sql'`,
  },
  {
    name: 'stop',
    argument: { name: 'NAME', required: true },
    about: 'remove a started database and its clones: containers and volumes',
    notes: 'Snapshots stay, and so do volumes made by "restore".',
    flags: [],
    example: 'snapvol stop shop',
  },
  {
    name: 'reset',
    argument: { name: 'NAME', required: true },
    about: 'put a started database back to its snapshot, at the same address',
    notes:
      'Its data is again what it was when "start" was done: all that was written since is gone, and whoever is connected ' +
      'is cut off. Host, port and login stay. It returns when the database serves again. NAME may be a clone, as shop-2.',
    flags: flags('wait-timeout'),
    example: 'snapvol reset shop',
  },
  {
    name: 'clone',
    argument: { name: 'NAME', required: true },
    about: 'start more databases from the snapshot of a started one, e.g. for parallel tests',
    notes:
      'They are called NAME-1, NAME-2 and so on, each with a server, a port and data of its own. They hold what NAME held ' +
      'when "start" was done, not what was written to it since. Prints their URLs, one a line. "reset NAME-1" puts one ' +
      'back, "stop NAME-1" removes it, "stop NAME" removes all.',
    flags: [
      { name: 'count', value: 'N', about: 'how many, up to 64 (1)' },
      ...flags('wait-timeout'),
    ],
    example: 'snapvol clone shop --count 4',
  },
  {
    name: 'save',
    argument: { name: 'NAME', required: false },
    about: 'snapshot a started database, or the volumes of any container, project or list',
    notes:
      'NAME alone is a database that "start" has started. With --volumes, --container or --compose-project it is only ' +
      'how the snapshot is called. Every running container that writes to a volume is stopped for the copy (see ' +
      '--quiesce), those that depend on others first, and started again, whatever happens. A key that has a snapshot ' +
      'is refused.',
    flags: [
      {
        name: 'key',
        value: 'KEY',
        about: 'key of the new snapshot (NAME-YYYYMMDD-HHMMSS, in UTC)',
      },
      {
        name: 'volumes',
        value: 'VOLUME',
        repeatable: true,
        about: 'a volume, or a folder of the host (/PATH, ./PATH)',
      },
      { name: 'container', value: 'NAME', about: 'a container: all its volumes' },
      {
        name: 'compose-project',
        value: 'PROJECT',
        about: 'a project of docker compose: all its volumes',
      },
      { name: 'include-binds', about: 'also folders of the host that are mounted' },
      { name: 'overwrite', about: 'replace a snapshot that has this key' },
      {
        name: 'image',
        value: 'IMAGE',
        about: "image of the helper container that copies (the containers' own)",
      },
      ...flags('user', 'password', 'database').map((flag) => ({
        ...flag,
        about: "login, where a container's environment does not tell it",
      })),
      ...flags(
        ...storeFlags,
        'encrypt-to',
        'quiesce',
        'before-copy',
        'after-copy',
        'working-directory',
        'trim',
      ),
      {
        name: 'allow-unclean',
        value: 'NAME',
        repeatable: true,
        about: 'a container, or service of compose, whose exit code does not count',
      },
      ...flags('compression', 'stop-timeout', 'wait-timeout', 'copy'),
    ],
    example: 'snapvol save --compose-project shop --key shop-stack',
  },
  {
    name: 'restore',
    argument: key,
    about: 'make volumes with what a snapshot holds',
    notes:
      `${prefix} Volumes get the names, labels and options that they had. All or nothing; one that exists and is not ` +
      'empty is refused. The volumes are yours: "stop" leaves them.',
    flags: [
      {
        name: 'volume',
        value: 'NAME',
        about:
          "name of a database's volume, its extra ones get NAME-<extra>; or of the only volume",
      },
      {
        name: 'rename',
        value: 'OLD=NEW',
        repeatable: true,
        about: 'another volume, or a folder of the host, for one of the snapshot',
      },
      { name: 'include-binds', about: 'fill folders of the host that the snapshot names' },
      {
        name: 'overwrite',
        about: 'replace what volumes hold, when all of the new content is there and verified',
      },
      {
        name: 'image',
        value: 'IMAGE',
        about:
          "image of the helper container that copies (of who has the volume, else the snapshot's)",
      },
      ...flags('expect-digest', 'require-provenance', 'max-size', ...storeFlags, 'copy'),
      identity,
    ],
    example: 'snapvol restore shop-before-migration --volume shop-copy',
  },
  {
    name: 'recover',
    about:
      'repair what a killed snapvol has left: stopped containers, half starts and restores, helpers',
    notes:
      'Every command that uses the container engine does this first, and says what it has repaired. Nothing that a ' +
      'living process is at is touched.',
    flags: [
      {
        name: 'force',
        about:
          'also what processes elsewhere have left: another host, or before a restart of this one',
      },
      ...flags('wait-timeout'),
    ],
    example: 'snapvol recover',
  },
  {
    name: 'list',
    argument: { name: 'NAME', required: false },
    about: 'list the snapshots of a store, newest first',
    notes: 'With NAME only those of this name. Only file:DIR can list.',
    flags: [...flags(...storeFlags), identity],
    example: 'snapvol list',
  },
  {
    name: 'inspect',
    argument: key,
    about: 'show what a snapshot says of itself',
    notes: `${prefix} With --json the whole manifest.`,
    flags: [...flags(...storeFlags), identity],
    example: 'snapvol inspect shop-before-migration',
  },
  {
    name: 'verify',
    argument: { name: 'KEY', required: false },
    about: 'read every byte of snapshots and compare their checksums',
    notes:
      `${prefix} Without KEY all snapshots of file:DIR are read, whatever is wrong with one of them; the exit code is ` +
      'then 15 if any is damaged. Nothing is copied where $TMPDIR is on the file system of the store.',
    flags: [
      { name: 'name', value: 'NAME', about: 'all snapshots of this name, instead of KEY' },
      {
        name: 'sample',
        value: 'N|P%',
        about: 'only so many of them, drawn at random: 3, or 20% (all)',
      },
      ...flags(...storeFlags),
      identity,
    ],
    example: 'snapvol verify --sample 20%',
  },
  {
    name: 'rm',
    argument: key,
    about: 'remove a snapshot from a store',
    notes:
      'KEY may be shortened to a beginning that no other key has. A name that has several snapshots is refused, and ' +
      'their keys are shown. Only file:DIR can remove.',
    flags: [...flags(...storeFlags), identity],
    example: 'snapvol rm shop-before-migration',
  },
  {
    name: 'prune',
    argument: { name: 'NAME', required: false, repeatable: true },
    about: 'remove the snapshots that no rule keeps',
    notes:
      'For each name (of those given, else of all) a snapshot stays that --keep-last or --keep-within keeps. If what ' +
      'stays is larger than --max-size, the oldest go until it fits, whatever the other rules say. At least one rule ' +
      'is needed. Of what --protect names, the newest snapshot that is whole, read to the last byte, stays in any ' +
      'case; if none is, nothing of that name is removed. Snapshots whose manifest cannot be read stay, too. Only ' +
      'file:DIR can remove.',
    flags: [
      { name: 'keep-last', value: 'N', about: 'keep the newest N of each name' },
      { name: 'keep-within', value: 'AGE', about: 'keep what is younger: 12h, 7d, 2w' },
      {
        name: 'max-size',
        value: 'SIZE',
        about: 'of all together: 500MB, 20GB (powers of 1000), 20GiB (of 1024)',
      },
      {
        name: 'protect',
        value: 'NAME',
        repeatable: true,
        about: 'a name or key, * stands for any characters: its newest whole snapshot stays',
      },
      { name: 'dry-run', about: 'only show what would be removed' },
      ...flags(...storeFlags),
      identity,
    ],
    example: 'snapvol prune --keep-last 3 --keep-within 7d --max-size 20GB --protect shop',
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
      ...flags(...storeFlags, 'encrypt-to', 'compression'),
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
      ...flags(...storeFlags),
      identity,
    ],
    example: 'snapvol export shop-before-migration --output backup.tar.gz',
  },
];
