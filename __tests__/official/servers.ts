import type { CopyMethod } from '../../src/runtime/volume-copier.ts';
import { engineNamed } from '../support/engines.ts';
import { rowCount, type Server } from '../support/servers.ts';

const both: readonly CopyMethod[] = ['pipe', 'archive'];
/** A JVM on a small machine takes its time. */
const patience = { 'wait-timeout': '5m', 'stop-timeout': '2m' };
const oddPassword = `it's a "secret"`;

const inside = (...variables: readonly string[]): string =>
  ['docker exec --interactive', ...variables.map((name) => `--env ${name}`)].join(' ') +
  ' "$SNAPVOL_CONTAINER"';

function imageOf(id: string): string {
  const image = engineNamed(id).defaultImage;
  if (image === undefined) throw new Error(`the engine ${id} has no default image`);
  return image;
}

/** Of the lines of its input, whatever their order: how many, and their hash. */
const digest = `node --input-type=module --eval '
import { createHash } from "node:crypto";
import { text } from "node:stream/consumers";
const lines = (await text(process.stdin)).split("\\n").map((line) => line.trim()).filter((line) => line !== "");
const hash = createHash("sha256").update(lines.sort().join("\\n"));
console.log(lines.length, hash.digest("hex"));'`;

// https://www.mongodb.com/docs/mongodb-shell/reference/options/: an exception in --eval is a failure
const mongosh = (script: string): string =>
  `${inside('SNAPVOL_USER', 'SNAPVOL_PASSWORD', 'SNAPVOL_DATABASE')} mongosh --quiet --norc --eval '
const { SNAPVOL_USER, SNAPVOL_PASSWORD, SNAPVOL_DATABASE } = process.env;
db.getSiblingDB("admin").auth(SNAPVOL_USER, SNAPVOL_PASSWORD);
const shop = db.getSiblingDB(SNAPVOL_DATABASE);
${script}'`;

const mongodb: Server = {
  title: 'MongoDB',
  image: imageOf('mongodb'),
  inputs: { user: 'app', password: oddPassword, database: 'shop' },
  seed: mongosh(`for (let from = 1; from <= ${rowCount}; from += 10000) {
  shop.item.insertMany(Array.from({ length: 10000 }, (_, i) => ({ _id: from + i, name: "name of " + (from + i) })));
}
shop.item.createIndex({ name: 1 });`),
  // https://www.mongodb.com/docs/manual/reference/command/dbHash/
  checksum: mongosh(
    'print(shop.item.countDocuments({}), shop.runCommand({ dbHash: 1 }).collections.item);',
  ),
  ways: both,
  // https://github.com/mongodb/mongo/blob/master/src/mongo/db/storage/storage_engine_init.cpp
  // https://github.com/mongodb/mongo/blob/master/src/mongo/db/storage/storage_engine_metadata.cpp
  recovery: /Detected unclean shutdown|Attempting to repair/i,
  started: /Storage engine to use detected by data files[^]*Waiting for connections/,
};

/** For Elasticsearch and OpenSearch; `ask` is fetch, with JSON or lines of it. */
const searchClient = (script: string): string => `node --input-type=module --eval '
const { SNAPVOL_HOST, SNAPVOL_PORT } = process.env;
async function ask(method, path, body, type = "application/json") {
  const url = "http://" + SNAPVOL_HOST + ":" + SNAPVOL_PORT + path;
  const answer = await fetch(url, { method, body, headers: { "content-type": type } });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
${script}'`;

const searchSeed = searchClient(`await ask("PUT", "/item", JSON.stringify({
  settings: { number_of_shards: 1, number_of_replicas: 0 },
  mappings: { properties: { id: { type: "integer" }, name: { type: "keyword" } } },
}));
for (let from = 1; from <= ${rowCount}; from += 10000) {
  const lines = Array.from({ length: 10000 }, (_, i) => from + i).flatMap((id) => [
    { index: { _id: String(id) } },
    { id, name: "name of " + id },
  ]);
  const body = lines.map((line) => JSON.stringify(line) + "\\n").join("");
  const { errors, items } = await ask("POST", "/item/_bulk?refresh=true", body, "application/x-ndjson");
  if (errors) throw new Error(JSON.stringify(items.find(({ index }) => index.error)));
}`);

// 10,000 is the most that one answer may hold; the next one begins after the last of it.
// https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results
const searchDocuments = searchClient(`let after = [0];
for (;;) {
  const query = { size: 10000, sort: [{ id: "asc" }], search_after: after };
  const { hits } = await ask("POST", "/item/_search", JSON.stringify(query));
  if (hits.hits.length === 0) break;
  process.stdout.write(hits.hits.map((hit) => JSON.stringify(hit._source) + "\\n").join(""));
  after = hits.hits.at(-1).sort;
}`);

const search = (title: string, id: string): Server => ({
  title: `${title} (preset)`,
  image: imageOf(id),
  inputs: { engine: id, ...patience },
  seed: searchSeed,
  checksum: `${searchDocuments} | ${digest}`,
  ways: both,
  // What it has not written to its index it replays without a word; these tell of what it could not.
  // https://github.com/elastic/elasticsearch/blob/main/server/src/main/java/org/elasticsearch/indices/cluster/IndicesClusterStateService.java
  recovery:
    /CorruptIndexException|TranslogCorruptedException|marking and sending shard failed|failing shard/,
  // https://github.com/elastic/elasticsearch/blob/main/server/src/main/java/org/elasticsearch/gateway/GatewayService.java
  started: /recovered \[[1-9]\d*\] indices into cluster_state/i,
});

/** Each is a process of its own, with files of its own: 2,000 of them take as long as 200,000 rows elsewhere. */
const queueCount = 2000;

const rabbitmq: Server = {
  title: 'RabbitMQ (preset)',
  image: imageOf('rabbitmq'),
  inputs: { engine: 'rabbitmq', user: 'app', password: oddPassword, database: 'shop' },
  // https://www.rabbitmq.com/docs/definitions
  seed: `node --input-type=module --eval '
const queues = Array.from({ length: ${queueCount} }, (_, i) => ({
  name: "item-" + (i + 1),
  vhost: process.env.SNAPVOL_DATABASE,
  durable: true,
  auto_delete: false,
  arguments: { "x-max-length": i + 1 },
}));
console.log(JSON.stringify({ queues }));' |
  ${inside()} sh -c 'cat >/tmp/queues.json && rabbitmqctl --quiet import_definitions /tmp/queues.json'`,
  // https://www.rabbitmq.com/docs/man/rabbitmqctl.8#list_queues; --silent leaves out the head of the table, too
  checksum: `${inside()} rabbitmqctl --silent list_queues --vhost "$SNAPVOL_DATABASE" name durable arguments |
  ${digest}`,
  sum: new RegExp(`^${queueCount} `),
  ways: both,
  // It says so at its very first start, too, but not after a clean shutdown.
  // https://github.com/rabbitmq/rabbitmq-server/blob/main/deps/rabbit/src/rabbit_msg_store.erl
  recovery: /msg_store_persistent\W+(rebuilding indices|failed to|recovery terms differ)/,
  // https://github.com/rabbitmq/rabbitmq-server/blob/main/deps/rabbit/src/rabbit_queue_type.erl
  started: new RegExp(`Recovering ${queueCount} queues of type`),
};

// https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-utility
const sqlcmd = (database: string, query: string): string =>
  `SQLCMDPASSWORD="$SNAPVOL_PASSWORD" ${inside('SQLCMDPASSWORD')} /opt/mssql-tools18/bin/sqlcmd \\
  -C -b -h -1 -W -S 127.0.0.1 -U "$SNAPVOL_USER" -d ${database} -Q '${query}'`;

const mssql: Server = {
  title: 'SQL Server (preset)',
  image: imageOf('mssql'),
  // To run it is to agree to Microsoft's terms; of its editions this is the one for tests, free of charge.
  inputs: { engine: 'mssql', env: 'ACCEPT_EULA=Y', ...patience },
  // https://learn.microsoft.com/sql/t-sql/functions/generate-series-transact-sql
  seed: [
    sqlcmd('master', 'CREATE DATABASE shop'),
    sqlcmd(
      'shop',
      `SET NOCOUNT ON;
CREATE TABLE item (id int PRIMARY KEY, name char(64) NOT NULL, INDEX item_name (name));
INSERT INTO item SELECT value, CONVERT(char(64), HASHBYTES("SHA2_256", CONVERT(varchar(10), value)), 2)
  FROM GENERATE_SERIES(1, ${rowCount});`.replaceAll('"', `'\\''`),
    ),
  ].join('\n'),
  checksum: sqlcmd(
    'shop',
    'SET NOCOUNT ON; SELECT COUNT(*), CHECKSUM_AGG(BINARY_CHECKSUM(id, name)) FROM item',
  ),
  ways: both,
  // https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors: 3421, 17137
  recovery: /[1-9]\d* transactions rolled (forward|back) in database 'shop'/,
  started: /Starting up database 'shop'/,
};

/** That of the preset. */
const influxOrg = 'snapvol';
const influxUrl = 'http://$SNAPVOL_HOST:$SNAPVOL_PORT/api/v2';
const influxCurl =
  'curl --fail-with-body --silent --show-error --header "Authorization: Token $SNAPVOL_PASSWORD" --data-binary @-';

const influxdb: Server = {
  title: 'InfluxDB (preset)',
  image: imageOf('influxdb'),
  inputs: { engine: 'influxdb', user: 'app', password: 'secret-token', database: 'shop' },
  // https://docs.influxdata.com/influxdb/v2/api/v2/#operation/PostWrite: a point a second, from 1970 on
  seed: `for from in $(seq 1 10000 ${rowCount}); do
  seq "$from" $((from + 9999)) | awk '{ print "item name=\\"name of " $1 "\\" " $1 }' |
    ${influxCurl} "${influxUrl}/write?org=${influxOrg}&bucket=$SNAPVOL_DATABASE&precision=s"
done`,
  // https://docs.influxdata.com/influxdb/v2/api/v2/#operation/PostQuery
  checksum: `echo "from(bucket: \\"$SNAPVOL_DATABASE\\") |> range(start: 0, stop: 1000000) |> keep(columns: [\\"_time\\", \\"_value\\"])" |
  ${influxCurl} --header 'Content-Type: application/vnd.flux' --header 'Accept: application/csv' \\
    "${influxUrl}/query?org=${influxOrg}" | grep 'name of' | ${digest}`,
  ways: both,
  // It reads its log at every start, whole or not.
  // https://github.com/influxdata/influxdb/blob/main-2.x/tsdb/engine/tsm1/cache.go
  recovery: /File corrupt/,
  started: /(Reading|Opened) file/,
};

// https://neo4j.com/docs/operations-manual/current/cypher-shell/: ends at the first failure
const cypherShell = `NEO4J_USERNAME="$SNAPVOL_USER" NEO4J_PASSWORD="$SNAPVOL_PASSWORD" \\
  ${inside('NEO4J_USERNAME', 'NEO4J_PASSWORD')} cypher-shell --address bolt://127.0.0.1:7687 --format plain`;

const neo4j: Server = {
  title: 'Neo4j (preset)',
  image: imageOf('neo4j'),
  inputs: { engine: 'neo4j', ...patience },
  // A transaction is kept in memory until it ends: 20 small ones.
  seed: `for from in $(seq 1 10000 ${rowCount}); do
  echo "UNWIND range($from, $((from + 9999))) AS n CREATE (:Item {id: n, name: 'name of ' + toString(n)});"
done | ${cypherShell}`,
  checksum: `${cypherShell} 'MATCH (i:Item) RETURN i.id, i.name' | grep 'name of' | ${digest}`,
  ways: both,
  // https://github.com/neo4j/neo4j/blob/5.26/community/kernel/src/main/java/org/neo4j/kernel/recovery/LoggingLogFileMonitor.java
  recovery: /Recovery required from position/,
  started: / Started\./,
  logFile: '/logs/debug.log',
};

const cqlsh = (statement: string): string =>
  `${inside()} cqlsh 127.0.0.1 9042 --execute "${statement};"`;

const cassandra: Server = {
  title: 'Cassandra (preset)',
  image: imageOf('cassandra'),
  inputs: { engine: 'cassandra', ...patience },
  // https://cassandra.apache.org/doc/stable/cassandra/managing/tools/cqlsh.html#copy-from
  // As fast as a heap of 512 MB can take it.
  seed: [
    cqlsh(
      `CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
    ),
    cqlsh('CREATE TABLE shop.item (id int PRIMARY KEY, name text)'),
    `seq ${rowCount} | awk '{ print $1 ",name of " $1 }' | ${inside()} sh -c 'cat >/tmp/item.csv'`,
    cqlsh(`COPY shop.item (id, name) FROM '/tmp/item.csv' WITH INGESTRATE = 20000`),
  ].join('\n'),
  checksum: `${cqlsh(`COPY shop.item (id, name) TO '/tmp/rows.csv'`)} >&2
${inside()} cat /tmp/rows.csv | ${digest}`,
  ways: both,
  // A few of its own tables are replayed after a clean end, too; after a crash it would be the rows.
  // https://github.com/apache/cassandra/blob/cassandra-5.0/src/java/org/apache/cassandra/db/commitlog/CommitLog.java
  recovery: /Log replay complete, \d{4,} replayed mutations/,
  // https://github.com/apache/cassandra/blob/cassandra-5.0/src/java/org/apache/cassandra/transport/Server.java
  started: /Starting listening for CQL clients/,
};

/** Official images without a stand-in of ours, by engine: their tests need a registry. */
export const officialServers = {
  mongodb,
  elasticsearch: search('Elasticsearch', 'elasticsearch'),
  opensearch: search('OpenSearch', 'opensearch'),
  rabbitmq,
  mssql,
  influxdb,
  neo4j,
  cassandra,
} as const satisfies Record<string, Server>;
