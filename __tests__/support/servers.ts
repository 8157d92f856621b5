import type { CopyMethod } from '../../src/runtime/volume-copier.ts';
import type { Inputs } from './runner.ts';

/** A server that a snapshot is to survive in, and how to fill and read it by its own clients. */
export interface Server {
  readonly title: string;
  /** Name of its test image. */
  readonly image: string;
  readonly inputs?: Inputs;
  /** For `seed`: makes 200,000 rows or keys. */
  readonly seed: string;
  /** Prints how many they are, and a sum over all of them; run with the environment of `check`. */
  readonly checksum: string;
  /** What `checksum` must look like, where it is not the number of rows. */
  readonly sum?: RegExp;
  readonly ways: readonly CopyMethod[];
  /** Fails unless all data is whole, and goes on to be so when more is written; what it writes is gone afterwards. */
  readonly verify?: string;
  /** Of what the seed leaves behind and a snapshot does not hold: names in an archive, and how many may be in it. */
  readonly spare?: { readonly names: RegExp; readonly atMost: number };
  /** In the log of a server that had to repair its data. */
  readonly recovery: RegExp;
  /** In the log of every start on data that is there. */
  readonly started: RegExp;
  /** Another log of the server, beside the container's. */
  readonly logFile?: string;
}

/** One that can be told to change. */
export interface ChangingServer extends Server {
  /**
   * Changes the checksum; where there are tables, makes one. Fails where it was run before. What it does outlives the
   * server's process.
   */
  readonly change: string;
}

export const rowCount = 200_000;
const both: readonly CopyMethod[] = ['pipe', 'archive'];

const inside = 'docker exec --interactive "$SNAPVOL_CONTAINER"';

const psql = `docker exec --interactive --env PGUSER --env PGDATABASE "$SNAPVOL_CONTAINER" psql \\
  --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1`;

/** With log enough for the server to keep what it no longer needs for later, by recycling it. */
const postgresLog =
  'checkpoint; create table gone as select * from item; drop table gone; checkpoint;';

const postgresVerify = `${psql} <<'SQL'
create extension if not exists amcheck;
select count(bt_index_check(index => indexrelid, heapallindexed => true))
  from pg_index join pg_class c on c.oid = indexrelid join pg_am a on a.oid = relam
  where amname = 'btree' and indisready and indisvalid;
select 1 / (count(*) = 0)::int from pg_class c, verify_heapam(c.oid) where relkind in ('r', 't', 'm');
${postgresLog}
SQL`;

function postgres(version: string, inputs: Inputs = {}, last = ''): ChangingServer {
  return {
    title: `Postgres ${version}`,
    image: `postgres:${version}`,
    inputs,
    seed: `${psql} <<'SQL'
create table item (id int primary key, name text not null);
insert into item select n, md5(n::text) from generate_series(1, ${rowCount}) n;
create index on item (name);
${postgresLog}
${last}
SQL`,
    verify: postgresVerify,
    // The segment of the last checkpoint, and the one that its record may go on in.
    spare: { names: /pg_wal\/[0-9A-F]{24}$/, atMost: 2 },
    change: `${psql} <<'SQL'
create table other as select 1 as id;
alter table item add column extra int default 7;
delete from item where id < 1000;
insert into item select n, 'more' from generate_series(${rowCount + 1}, ${rowCount + 20_000}) n;
SQL`,
    checksum: `${psql} --command "select count(*), md5(string_agg(id || name, ',' order by id)) from item"`,
    ways: both,
    recovery: /automatic recovery in progress|redo starts at|was interrupted/,
    started: /database system was shut down at[^]*ready to accept connections/,
  };
}

const mysqlClient = (client: string): string =>
  `docker exec --interactive --env MYSQL_PWD "$SNAPVOL_CONTAINER" ${client} \\
  --protocol=tcp --host=127.0.0.1 --user="$SNAPVOL_USER" --batch --skip-column-names "$SNAPVOL_DATABASE"`;

/** Two families, two ways to count. MySQL 9 has no MD5 any more. */
const sequences = {
  mariadb: `insert into item select seq, sha2(seq, 256) from seq_1_to_${rowCount};`,
  mysql: `set cte_max_recursion_depth = ${rowCount};
insert into item with recursive n (i) as (select 1 union all select i + 1 from n where i < ${rowCount})
  select i, sha2(i, 256) from n;`,
};

function mysql(title: string, image: string, client: keyof typeof sequences): ChangingServer {
  const run = mysqlClient(client);
  return {
    title,
    image,
    inputs: { user: 'app', password: `it's a "secret"`, database: 'shop' },
    seed: `${run} <<'SQL'
create table item (id int primary key, name char(64) not null, key (name)) engine=InnoDB;
${sequences[client]}
create temporary table passing select * from item;
SQL`,
    verify: `${run} <<'SQL' | grep -c 'check.status.OK'
check table item extended;
create table again like item;
insert into again select * from item limit 20000;
drop table again;
SQL`,
    change: `${run} <<'SQL'
create table other as select 1 as id;
alter table item add column extra int not null default 7;
delete from item where id < 1000;
insert into item select id + ${rowCount}, name, 8 from item where id < 20000;
SQL`,
    ...(client === 'mysql' && { spare: { names: /#ib_redo\d+_tmp$/, atMost: 0 } }),
    checksum: `${run} --execute 'select count(*) from item; checksum table item'`,
    ways: both,
    recovery:
      /InnoDB: Starting crash recovery|Recovering after a crash|Starting (XA|table) crash recovery/,
    started: /ready for connections/,
  };
}

function keyValue(
  title: string,
  image: string,
  client: string,
  inputs: Inputs = {},
): ChangingServer {
  const debug = '--enable-debug-command local';
  return {
    title,
    image,
    inputs: { ...inputs, args: `${inputs.args ?? ''} ${debug}`.trim() },
    seed: `${inside} ${client} eval "for i = 1, ${rowCount} do redis.call('set', 'item:' .. i, redis.sha1hex(i)) end" 0`,
    change: `[[ "$(${inside} ${client} msetnx item:0 0 other:0 0)" == 1 ]]
${inside} ${client} del item:1 item:2
${inside} ${client} save`,
    checksum: `${inside} ${client} dbsize; ${inside} ${client} debug digest`,
    ways: both,
    recovery: /Truncating the AOF|short read/,
    started: /DB loaded from/,
  };
}

const clickhouse = `docker exec --interactive "$SNAPVOL_CONTAINER" clickhouse-client --user "$SNAPVOL_USER" \\
  --password "$SNAPVOL_PASSWORD" --database "$SNAPVOL_DATABASE" --multiquery`;

/** Keys in base64, as etcd's gateway wants them; 10,000 in one request. */
const etcdSeed = `node --input-type=module --eval '
const { SNAPVOL_HOST, SNAPVOL_PORT } = process.env;
const base64 = (text) => Buffer.from(text).toString("base64");
for (let from = 1; from <= ${rowCount}; from += 10000) {
  const success = Array.from({ length: 10000 }, (_, i) => ({
    requestPut: { key: base64("item:" + (from + i)), value: base64("value of " + (from + i)) },
  }));
  const url = "http://" + SNAPVOL_HOST + ":" + SNAPVOL_PORT + "/v3/kv/txn";
  const answer = await fetch(url, { method: "POST", body: JSON.stringify({ success }) });
  if (!answer.ok) throw new Error(await answer.text());
}'`;

export const servers = {
  // The record of its last checkpoint is the first one of a segment.
  postgres15: postgres('15', {}, 'select pg_switch_wal();'),
  postgres17: postgres('17'),
  postgres18: postgres('18', { env: 'POSTGRES_INITDB_ARGS=--wal-segsize=1' }),
  mariadb1011: mysql('MariaDB 10.11', 'mariadb:10.11', 'mariadb'),
  mariadb118: mysql('MariaDB 11.8', 'mariadb:11.8', 'mariadb'),
  mysql97: mysql('MySQL 9.7', 'mysql:9.7', 'mysql'),
  redis7: keyValue('Redis 7, RDB', 'redis:7', 'redis-cli'),
  redis7aof: keyValue('Redis 7, AOF', 'redis:7', 'redis-cli', { args: '--appendonly yes' }),
  valkey8: keyValue('Valkey 8', 'valkey:8', 'valkey-cli', { password: `it's a "secret"` }),
  clickhouse: {
    title: 'ClickHouse (preset)',
    image: 'clickhouse',
    inputs: { engine: 'clickhouse', user: 'app', password: `it's a "secret"`, database: 'shop' },
    seed: `${clickhouse} <<'SQL'
create table item (id UInt32, name String) engine = MergeTree() order by id;
insert into item select number, hex(MD5(toString(number))) from numbers(${rowCount});
SQL`,
    change: `${clickhouse} <<'SQL'
create table other engine = MergeTree() order by id as select number as id from numbers(1000);
alter table item add column extra UInt8 default 7;
insert into item select number, 'more', 8 from numbers(${rowCount}, 20000);
optimize table item final;
rename table other to another;
SQL`,
    checksum: `${clickhouse} --query 'select count(), sum(cityHash64(*)) from item'`,
    ways: both,
    recovery: /unclean restart/,
    started: /Ready for connections/,
    logFile: '/var/log/clickhouse-server/clickhouse-server.log',
  },
  etcd: {
    title: 'etcd (preset)',
    image: 'etcd',
    inputs: { engine: 'etcd', env: 'ETCD_MAX_TXN_OPS=10000' },
    seed: etcdSeed,
    // A transaction: the key must not be there yet.
    change: `docker exec --interactive "$SNAPVOL_CONTAINER" etcdctl txn <<'TXN' | grep SUCCESS
create("other") = "0"

put other 0
del item:1


TXN`,
    checksum: `docker exec "$SNAPVOL_CONTAINER" etcdctl endpoint hashkv`,
    // One hash over all.
    sum: /\d{5,}/,
    // There is no tar in its image.
    ways: ['archive'],
    recovery: /repair(ed|ing) WAL/i,
    // The first is that of Debian's 3.4, the other that of 3.5.
    started: /restarting (local )?member/,
  },
} as const satisfies Record<string, ChangingServer>;
