import type { ImageFacts } from '../runtime/runtime.ts';
import type { LeftOut } from '../snapshot/manifest.ts';
import type { Credentials, DataState, Engine, Env, InnerCommand, ReadDataFile } from './engine.ts';
import { locationOf } from './location.ts';
import { walBeyondCheckpoint } from './postgres-wal.ts';
import { userInfo } from './url.ts';

/**
 * PostgreSQL, in the official image and those that keep its contract: https://hub.docker.com/_/postgres
 */
export const postgres: Engine = {
  id: 'postgres',
  imageNames: ['postgres', 'postgis', 'pgvector', 'timescaledb'],
  defaultImage: 'postgres:17',
  defaults: { user: 'postgres', password: 'postgres', database: 'postgres' },
  defaultDatabase: (user) => user,
  port: () => 5432,

  // Up to 17 PGDATA is the declared volume itself; from 18 on it is a folder of the version below it.
  location: (image, env) =>
    locationOf(image, env['PGDATA'] ?? image.env['PGDATA'] ?? '/var/lib/postgresql/data'),

  expectedEnv(reference): Env {
    // `postgres:18-alpine`, `pgvector:pg18`, `timescaledb:latest-pg18`
    const major = Number(/:(?:[^/:@]*pg)?(\d+)[^/:@]*(?:@|$)/.exec(reference)?.[1] ?? 0);
    return major >= 18 ? { PGDATA: `/var/lib/postgresql/${major}/docker` } : {};
  },

  containerEnv: ({ user, password, database }) => ({
    POSTGRES_USER: user,
    POSTGRES_PASSWORD: password,
    POSTGRES_DB: database,
  }),
  emptyPassword: ['POSTGRES_HOST_AUTH_METHOD=trust'],

  // https://www.postgresql.org/docs/current/non-durability.html
  relaxedArgs: ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'],
  initPath: '/docker-entrypoint-initdb.d',

  // The exit code is that of the last one.
  readiness(credentials) {
    const { command, env } = psql(credentials, tellChangedCollations, 'select 1');
    return { command, env: { ...env, PGOPTIONS: '-c client_min_messages=notice' } };
  },
  restoredProblem: collationProblem,

  url({ host, port, database, ...login }) {
    return `postgresql://${userInfo(login)}${host}:${port}/${encodeURIComponent(database)}`;
  },

  clientEnv: ({ host, port, user, password, database }) => ({
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
  }),

  flush: (credentials) => psql(credentials, 'checkpoint'),
  dataFolder: (credentials) => psql(credentials, 'show data_directory'),
  dataFiles: (credentials) =>
    psql(credentials, 'select pg_tablespace_location(oid) from pg_tablespace'),

  // An unlogged table is emptied by a recovery. It has a fork "init", in whichever database it is; 1 / 0 is an error.
  pausable: (credentials) => ({
    ...psql(
      credentials,
      `select 1 / (count(*) = 0)::int
         from pg_database d, pg_ls_dir('base/' || d.oid, true, false) f where f like '%\\_init'`,
    ),
    refusal: 'the restored server would find its unlogged tables empty after a paused copy',
  }),
  largestTables(credentials) {
    const { command, env } = psql(credentials, largestTables);
    // One that waits for a lock would keep a server that is told to stop from it.
    return { command, env: { ...env, PGOPTIONS: '-c statement_timeout=2s' } };
  },
  cleanExitCodes: [0],
  dataState: readDataState,
  worthless: findWorthless,
  imageVersion,

  // Only pg_upgrade, with the programs of both versions, turns data of one major into that of another.
  versionProblem: (data, image) =>
    data === image ? undefined : `data version changed: ${data} -> ${image}`,
};

/**
 * Over TCP: the image's temporary server for init files answers on the unix socket only. To the container's own address:
 * on 127.0.0.1 the image lets everybody in, whatever the password.
 */
function psql(
  { user, password, database }: Credentials,
  ...statements: readonly string[]
): InnerCommand {
  return {
    command: [
      ...['sh', '-c', 'exec psql --host="$HOSTNAME" "$@"', 'psql'],
      ...['--port=5432', '--no-psqlrc', '--no-password', '--tuples-only', '--no-align'],
      ...statements.map((sql) => `--command=${sql}`),
    ],
    // Not as an argument: a name with "=" would be taken for a connection string.
    env: { PGUSER: user, PGDATABASE: database, PGPASSWORD: password, PGCONNECT_TIMEOUT: '5' },
  };
}

/**
 * Text is sorted by the C library or by ICU. The data notes their versions (none for musl), and an image of the same tag may
 * have others: then indexes are in an order that the server does not look for. Up to 14, a database does not note it, but
 * what `initdb` has found of its locale does. Of other databases than the wanted one, only the default is seen. Only what
 * is in use counts; what is pinned is in no pg_depend. `template0` has no version, on purpose.
 * https://www.postgresql.org/docs/current/sql-altercollation.html#SQL-ALTERCOLLATION-NOTES
 */
const tellChangedCollations = `do $$
  declare
    v15 bool := current_setting('server_version_num')::int >= 150000;
    what text;
  begin
    if v15 then
      for what in execute $q$
        select format('database %I %s -> %s', datname, coalesce(datcollversion, 'none'), coalesce(version, 'none'))
          from (select *, pg_database_collation_actual_version(oid) version
                  from pg_database where datname <> 'template0') d
         where datcollversion is distinct from version $q$
      loop raise notice 'changed collation: %', what; end loop;
    end if;
    for what in
      select format('collation %I %s -> %s', collname, coalesce(collversion, 'none'), coalesce(version, 'none'))
        from (select *, pg_collation_actual_version(oid) version
                from (select * from pg_collation
                       where collprovider <> 'd'
                         and (oid in (select refobjid from pg_depend where refclassid = 'pg_collation'::regclass)
                              or oid in (select attcollation from pg_attribute)
                              or (not v15 and collprovider = 'c'
                                  and lower(translate(collcollate, '-', '')) in
                                  (select lower(translate(datcollate, '-', '')) from pg_database)))
                      offset 0) used) c
       where collversion is distinct from version
    loop raise notice 'changed collation: %', what; end loop;
  end $$`;

function collationProblem(printed: string): string | undefined {
  const changes = [...printed.matchAll(/changed collation: (.+)/g)].map(([, what]) => what);
  if (changes.length === 0) return undefined;
  const [first, ...others] = changes;
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return `the library of the image that sorts text has changed, and indexes may be wrong: ${first ?? ''}${more}`;
}

/** With indexes and TOAST. One that is dropped meanwhile has no size. */
const largestTables = `
  select size || chr(9) || translate(name, chr(9) || chr(10) || chr(13), '???')
    from (select pg_total_relation_size(c.oid) size, c.oid::regclass::text name
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'm') and n.nspname !~ '^(pg_|information_schema$)') t
   where size is not null order by size desc, name limit 10`;

/** The states of `pg_controldata`. https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_control.h */
const controlStates: readonly string[] = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
];

/** pg_control begins with an 8-byte system identifier and two 4-byte versions; the state follows. */
const controlStateOffset = 16;

async function readDataState(read: ReadDataFile): Promise<DataState> {
  const version = (await read('PG_VERSION'))?.toString('utf8').trim();
  const control = await read('global/pg_control');
  if (version === undefined || control === undefined || control.length < controlStateOffset + 4) {
    return {
      version: version ?? null,
      mark: 'no data folder',
      unusable: 'there is no PostgreSQL data folder in the volume, it would be an empty snapshot',
    };
  }
  const state = controlStates[control.readInt32LE(controlStateOffset)] ?? 'unknown';
  const mark = `pg_control: ${state}`;
  if (state !== 'shut down') {
    return { version, mark, unclean: `pg_control says "${state}" instead of "shut down"` };
  }
  if ((await read('postmaster.pid')) !== undefined) {
    return {
      version,
      mark,
      unclean: 'postmaster.pid is still there: the server did not end by itself',
    };
  }
  return { version, mark };
}

/**
 * What every start makes anew: of what pg_basebackup leaves out, what is of no use after a clean stop either.
 * https://github.com/postgres/postgres/blob/master/src/backend/backup/basebackup.c
 */
const madeAnew: readonly string[] = [
  'base/pgsql_tmp/pgsql_tmp*',
  ...['dynshmem', 'notify', 'serial', 'snapshots', 'stat_tmp', 'subtrans'].map((n) => `pg_${n}/*`),
  ...['global', 'base/*'].map((folder) => `${folder}/pg_internal.init`),
];

async function findWorthless(read: ReadDataFile): Promise<readonly LeftOut[]> {
  const wal = await walBeyondCheckpoint(read);
  if (!wal) return [];
  return [
    ...wal.map((pattern) => ({ pattern, reason: 'write-ahead log beyond the last checkpoint' })),
    ...madeAnew.map((pattern) => ({
      pattern,
      reason: 'temporary files and caches',
    })),
  ];
}

function imageVersion(image: ImageFacts): string | undefined {
  return image.env['PG_MAJOR'] ?? image.env['PG_VERSION']?.match(/^\d+/)?.[0];
}
