import type { ImageFacts } from '../runtime/runtime.ts';
import type {
  Credentials,
  DataState,
  Endpoint,
  Engine,
  InnerCommand,
  ReadDataFile,
} from './engine.ts';
import { locationOf } from './location.ts';
import type { LeftOut } from '../snapshot/manifest.ts';
import { userInfo } from './url.ts';
import { downgradeProblem, plainVersion, seriesOf } from './versions.ts';

// MySQL and MariaDB share their protocol and most of their contract; their data folders they do not.

const shared = {
  defaults: { user: 'root', password: 'root', database: 'test' },
  credentialsProblem: ({ user, password }: Credentials) =>
    user !== 'root' && password === ''
      ? `user: the image makes no user "${user}" without a password`
      : undefined,
  port: () => 3306,

  location: (image: ImageFacts) => locationOf(image, '/var/lib/mysql'),

  initPath: '/docker-entrypoint-initdb.d',
  // What a crash could cost matters to nobody here; the binary log stays, for whoever tests replication.
  relaxedArgs: [
    '--innodb-flush-log-at-trx-commit=0',
    '--sync-binlog=0',
    '--innodb-doublewrite=OFF',
  ],

  url({ host, port, database, ...login }: Endpoint) {
    return `mysql://${userInfo(login)}${host}:${port}/${encodeURIComponent(database)}`;
  },

  // There is no variable for the user: clients take --user="$SNAPVOL_USER".
  clientEnv: ({ host, port, password }: Endpoint) => ({
    MYSQL_HOST: host,
    MYSQL_TCP_PORT: String(port),
    MYSQL_PWD: password,
  }),

  cleanExitCodes: [0],
} as const;

/** MySQL, in the official image and those that keep its contract: https://hub.docker.com/_/mysql */
export const mysql: Engine = {
  ...shared,
  id: 'mysql',
  imageNames: ['mysql', 'percona', 'percona-server'],
  defaultImage: 'mysql:8.4',
  containerEnv: initialEnv('MYSQL'),
  emptyPassword: ['MYSQL_ALLOW_EMPTY_PASSWORD=yes', 'ALLOW_EMPTY_PASSWORD=yes'],
  otherLogin: ['MYSQL_RANDOM_ROOT_PASSWORD', 'MYSQL_ONETIME_PASSWORD'],

  readiness: (credentials) => query(mysqlClient, credentials, 'select 1'),
  flush: (credentials) => query(mysqlClient, asRoot(credentials), flushAll),
  dataFolder: (credentials) => query(mysqlClient, credentials, 'select @@datadir'),
  dataFiles: (credentials) =>
    query(mysqlClient, asRoot(credentials), 'select file_name from information_schema.files'),
  // Sizes that it knows by heart are up to a day old.
  largestTables: (credentials) =>
    query(
      mysqlClient,
      asRoot(credentials),
      `/*!80000 set information_schema_stats_expiry = 0 */;
       ${largestTables('innodb_tablespaces')}`,
    ),

  async dataState(read) {
    if ((await read('aria_log_control')) !== undefined) {
      return refused('the data folder is one of MariaDB, which MySQL cannot read', 'mariadb');
    }
    const version = await mysqlVersion(read);
    if ((await read('mysql.ibd')) === undefined) return noDataFolder('MySQL', version);
    return shutDownState(read, version);
  },

  // At its start the server removes both: https://dev.mysql.com/doc/refman/8.4/en/innodb-redo-log.html and
  // https://dev.mysql.com/doc/refman/8.4/en/innodb-temporary-tablespace.html
  worthless: () =>
    Promise.resolve([
      { pattern: '#innodb_redo/#ib_redo*_tmp', reason: 'spare redo log files' },
      { pattern: '#innodb_temp/temp_*.ibt', reason: 'temporary tablespaces' },
      ...processNotes,
    ]),

  imageVersion: (image) => plainVersion(image.env['MYSQL_VERSION'] ?? image.env['PS_VERSION']),

  // https://dev.mysql.com/doc/refman/8.4/en/upgrade-paths.html
  versionProblem(data, image) {
    const [from, fromMinor] = seriesOf(data);
    const [to, toMinor] = seriesOf(image);
    if (to <= from) return downgradeProblem(data, image);
    const oneStep =
      (from === 5 && fromMinor === 7 && to === 8 && toMinor === 0) ||
      (from === 8 && fromMinor === 4 && to === 9);
    return oneStep
      ? undefined
      : `the data is of version ${data}, which ${image} cannot upgrade in one step`;
  },
};

/** MariaDB, in the official image and those that keep its contract: https://hub.docker.com/_/mariadb */
export const mariadb: Engine = {
  ...shared,
  id: 'mariadb',
  imageNames: ['mariadb'],
  defaultImage: 'mariadb:11.8',
  containerEnv: (credentials) => ({
    ...initialEnv('MARIADB')(credentials),
    // The image then upgrades the data of an older server before it serves.
    MARIADB_AUTO_UPGRADE: '1',
  }),
  emptyPassword: [
    'MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=yes',
    'MYSQL_ALLOW_EMPTY_PASSWORD=yes',
    'ALLOW_EMPTY_PASSWORD=yes',
  ],
  // The names of MySQL stand in where those of MariaDB are not given: ours always are.
  otherLogin: [
    ...['MARIADB_RANDOM_ROOT_PASSWORD', 'MARIADB_ROOT_PASSWORD_HASH', 'MARIADB_PASSWORD_HASH'],
    ...['MYSQL_RANDOM_ROOT_PASSWORD', 'MYSQL_ROOT_PASSWORD', 'MYSQL_USER', 'MYSQL_PASSWORD'],
    'MYSQL_DATABASE',
  ],

  readiness: (credentials) => query(['mariadb'], credentials, 'select 1'),
  flush: (credentials) => query(['mariadb'], asRoot(credentials), flushAll),
  dataFolder: (credentials) => query(['mariadb'], credentials, 'select @@datadir'),
  dataFiles: (credentials) =>
    query(
      ['mariadb'],
      asRoot(credentials),
      'select filename from information_schema.innodb_sys_tablespaces',
    ),
  largestTables: (credentials) =>
    query(['mariadb'], asRoot(credentials), largestTables('innodb_sys_tablespaces')),

  async dataState(read) {
    if ((await read('mysql.ibd')) !== undefined) {
      return refused('the data folder is one of MySQL, which MariaDB cannot read', 'mysql');
    }
    const version = await mariadbVersion(read);
    if ((await read('aria_log_control')) === undefined || (await read('ibdata1')) === undefined) {
      return noDataFolder('MariaDB', version);
    }
    return shutDownState(read, version);
  },

  worthless: () => Promise.resolve(processNotes),

  imageVersion: (image) => plainVersion(image.env['MARIADB_VERSION']),
  versionProblem: downgradeProblem,
};

/** The variables of an image, MYSQL_* or MARIADB_*. The root user has the same password, from any host. */
function initialEnv(prefix: 'MYSQL' | 'MARIADB') {
  return ({ user, password, database }: Credentials) => ({
    [`${prefix}_ROOT_PASSWORD`]: password,
    [`${prefix}_DATABASE`]: database,
    // Images refuse to make a user "root": it is there.
    ...(user !== 'root' && { [`${prefix}_USER`]: user, [`${prefix}_PASSWORD`]: password }),
  });
}

/**
 * A query over TCP, in the wanted database: the image's temporary server for init files answers on the unix socket
 * only, and `ping` says yes to whom it would not let in.
 */
function query(
  client: readonly string[],
  { user, password, database }: Credentials,
  sql: string,
): InnerCommand {
  return {
    command: [
      ...client,
      ...['--protocol=tcp', '--host=127.0.0.1', '--port=3306', `--user=${user}`],
      ...['--connect-timeout=5', '--batch', '--skip-column-names', `--database=${database}`],
      `--execute=${sql}`,
    ],
    env: { MYSQL_PWD: password },
  };
}

/** Logs in where the server has no TLS, too. */
const mysqlClient = ['mysql', '--get-server-public-key'];
/**
 * Tables for MyISAM with delayed keys, logs for InnoDB: with `relaxedArgs` MariaDB 10.11 does not even write its log when
 * it is told to. https://dev.mysql.com/doc/refman/8.4/en/flush.html
 */
const flushAll = `set @was = @@global.innodb_flush_log_at_trx_commit;
  set global innodb_flush_log_at_trx_commit = 1; flush tables; flush engine logs;
  set global innodb_flush_log_at_trx_commit = @was`;

/**
 * InnoDB's own figures lag behind what was just written, the sizes of its files do not. Names of files are the tables' own
 * where those are plain.
 */
function largestTables(tablespaces: string): string {
  return `set lock_wait_timeout = 2;
  select greatest(data_length + index_length, coalesce(max(s.file_size), 0)) size, table_name
    from information_schema.tables t
    left join information_schema.${tablespaces} s on s.name = concat(table_schema, '/', table_name)
   where table_schema = database() and table_type = 'BASE TABLE'
   group by table_name, data_length, index_length order by size desc, table_name limit 10`;
}

/** Who may flush, and see where files lie: the user of the database may not. */
function asRoot(credentials: Credentials): Credentials {
  return { ...credentials, user: 'root' };
}

function noDataFolder(name: string, version: string | null): DataState {
  return {
    version,
    mark: 'no data folder',
    unusable: `there is no ${name} data folder in the volume, it would be an empty snapshot`,
  };
}

function refused(why: string, engine: string): DataState {
  return { version: null, mark: 'foreign data', unusable: `${why}: set "engine" to ${engine}` };
}

/** InnoDB removes its file of temporary tables when it shuts down. */
async function shutDownState(read: ReadDataFile, version: string | null): Promise<DataState> {
  if ((await read('ibtmp1')) === undefined) return { version, mark: 'InnoDB: no ibtmp1' };
  const unclean = 'ibtmp1 is still there: InnoDB was not shut down';
  return { version, mark: 'InnoDB: ibtmp1 present', unclean };
}

/** Of a server that was killed long ago, perhaps in another container: one that shut down has removed its own. */
const processNotes: readonly LeftOut[] = ['*.pid', '*.sock.lock'].map((pattern) => ({
  pattern,
  reason: 'process ids of servers that are gone',
}));

/** The newest version that the folder was upgraded to, or made by. */
async function mysqlVersion(read: ReadDataFile): Promise<string | null> {
  const history = (await read('mysql_upgrade_history'))?.toString('utf8') ?? '';
  // JSON with an entry for each upgrade: https://dev.mysql.com/doc/refman/8.4/en/upgrading-what-is-upgraded.html
  const newest = [...history.matchAll(/"version"\s*:\s*"([^"]+)"/g)].at(-1)?.[1];
  const info = (await read('mysql_upgrade_info'))?.toString('utf8'); // up to 8.0
  return plainVersion(newest ?? info?.trim()) ?? null;
}

async function mariadbVersion(read: ReadDataFile): Promise<string | null> {
  const info = (await read('mariadb_upgrade_info')) ?? (await read('mysql_upgrade_info'));
  return plainVersion(info?.toString('utf8').trim()) ?? null;
}
