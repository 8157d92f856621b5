import type { Credentials, Engine, Env } from './engine.ts';

/** An image that needs no code of its own: what its official documentation says, as data for the generic engine. */
export interface Preset {
  readonly id: string;
  /** Repository names (last path segment) of images that are this one. */
  readonly imageNames: readonly string[];
  readonly defaultImage: string;
  /** Empty where the image has no such thing, or takes none by its environment. */
  readonly defaults: Credentials;
  readonly port: number;
  readonly dataPath: string;
  /** For the container, with `{user}`, `{password}`, `{database}` filled in. */
  readonly env: Env;
  readonly emptyPassword?: NonNullable<Engine['emptyPassword']>;
  readonly otherLogin?: NonNullable<Engine['otherLogin']>;
  /** Instead of the image's own, which would keep the stop signal from the server. */
  readonly entrypoint?: readonly string[];
  /** Where the image looks for files that initialise an empty data folder. */
  readonly initPath?: string;
  /** Run inside until it exits 0, with SNAPVOL_USER, SNAPVOL_PASSWORD and SNAPVOL_DATABASE in its environment. */
  readonly ready: readonly string[];
  /** With `{host}`, `{port}`, `{user}`, `{password}`, `{database}` (URL-encoded). */
  readonly url: string;
  /** With which a stop within the grace ends, where that is not 0 alone: a JVM ends with 143 after its own shutdown. */
  readonly cleanExitCodes?: readonly number[];
  /** What the image makes of a user, a password or a database that it would not take: often nothing that is told. */
  readonly rules?: Partial<Readonly<Record<keyof Credentials, Rule>>>;
  /** In the data folder: a file that is there while the server runs, and gone when it has shut down. */
  readonly runningFile?: string;
}

export interface Rule {
  readonly allows: RegExp;
  /** In words: "must be ..." */
  readonly text: string;
}

const plainName: Rule = {
  allows: /^[A-Za-z_][A-Za-z0-9_]*$/,
  text: 'must be letters, digits and "_" only',
};
const eightCharacters: Rule = { allows: /^.{8,}$/s, text: 'must have 8 characters or more' };

const none: Credentials = { user: '', password: '', database: '' };
const shell = (...lines: readonly string[]): readonly string[] => ['sh', '-c', lines.join('\n')];

/** 143: the JVM has run its shutdown hooks for a SIGTERM. */
const jvmExitCodes: readonly number[] = [0, 143];

/** Of Elasticsearch and OpenSearch: there is one node, and a full disk of the machine is not the test's business. */
const searchNode: Env = {
  'discovery.type': 'single-node',
  'cluster.routing.allocation.disk.threshold_enabled': 'false',
};
/** 408 while it waits for the shards of what is there. */
const searchReady: readonly string[] = [
  ...['curl', '--fail', '--silent', '--show-error', '--max-time', '10'],
  'http://127.0.0.1:9200/_cluster/health?wait_for_status=yellow&timeout=5s',
];

/** One row an image. */
export const presets: readonly Preset[] = [
  // https://hub.docker.com/r/clickhouse/clickhouse-server
  // https://github.com/ClickHouse/ClickHouse/blob/master/docker/server/entrypoint.sh
  // The temporary server for init files listens on 127.0.0.1, over TCP: only the container's own address tells them
  // apart. User and database go unquoted into XML and SQL, so plain names only; the password may be anything.
  {
    id: 'clickhouse',
    imageNames: ['clickhouse-server', 'clickhouse'],
    defaultImage: 'clickhouse/clickhouse-server:25.8',
    defaults: { user: 'default', password: 'clickhouse', database: 'default' },
    port: 8123,
    dataPath: '/var/lib/clickhouse',
    env: {
      CLICKHOUSE_USER: '{user}',
      CLICKHOUSE_PASSWORD: '{password}',
      CLICKHOUSE_DB: '{database}',
    },
    emptyPassword: ['CLICKHOUSE_SKIP_USER_SETUP=1'],
    initPath: '/docker-entrypoint-initdb.d',
    // Names and password in headers: https://clickhouse.com/docs/interfaces/http
    ready: shell(
      'exec wget -q -T 5 -O /dev/null --header "X-ClickHouse-User: $SNAPVOL_USER" \\',
      '  --header "X-ClickHouse-Key: $SNAPVOL_PASSWORD" \\',
      '  --header "X-ClickHouse-Database: $SNAPVOL_DATABASE" "http://$HOSTNAME:8123/?query=SELECT%201"',
    ),
    url: 'http://{user}:{password}@{host}:{port}/?database={database}',
    rules: { user: plainName, database: plainName },
    runningFile: 'status',
  },

  // https://www.elastic.co/docs/deploy-manage/deploy/self-managed/install-elasticsearch-docker-basic
  // https://github.com/elastic/elasticsearch/tree/main/distribution/docker/src/docker
  // A single node turns failed bootstrap checks (vm.max_map_count) into warnings.
  // 143: https://github.com/elastic/elasticsearch/issues/31847
  {
    id: 'elasticsearch',
    imageNames: ['elasticsearch', 'elasticsearch-wolfi'],
    defaultImage: 'docker.elastic.co/elasticsearch/elasticsearch:9.5.3',
    defaults: none,
    port: 9200,
    dataPath: '/usr/share/elasticsearch/data',
    env: {
      ...searchNode,
      'xpack.security.enabled': 'false',
      ES_JAVA_OPTS: '-Xms512m -Xmx512m',
    },
    ready: searchReady,
    url: 'http://{host}:{port}',
    cleanExitCodes: jvmExitCodes,
  },

  // https://docs.opensearch.org/latest/install-and-configure/install-opensearch/docker/
  // https://github.com/opensearch-project/opensearch-build/tree/main/docker/release
  // With the security plugin on, the image would want a strong password and a certificate.
  // 143: https://github.com/opensearch-project/OpenSearch/blob/main/distribution/packages/src/common/systemd/opensearch.service
  {
    id: 'opensearch',
    imageNames: ['opensearch'],
    defaultImage: 'opensearchproject/opensearch:3',
    defaults: none,
    port: 9200,
    dataPath: '/usr/share/opensearch/data',
    env: {
      ...searchNode,
      DISABLE_SECURITY_PLUGIN: 'true',
      DISABLE_INSTALL_DEMO_CONFIG: 'true',
      DISABLE_PERFORMANCE_ANALYZER_AGENT_CLI: 'true',
      OPENSEARCH_JAVA_OPTS: '-Xms512m -Xmx512m',
    },
    ready: searchReady,
    url: 'http://{host}:{port}',
    cleanExitCodes: jvmExitCodes,
  },

  // https://hub.docker.com/_/rabbitmq
  // The database is the virtual host. The data folder is named after the node, and the node after the host unless told
  // otherwise: a new container would start empty.
  // A client that comes before the server would make the Erlang cookie, as root, and the server could not read it:
  // https://github.com/docker-library/rabbitmq/issues/695
  {
    id: 'rabbitmq',
    imageNames: ['rabbitmq'],
    defaultImage: 'rabbitmq:4',
    defaults: { user: 'rabbitmq', password: 'rabbitmq', database: '/' },
    port: 5672,
    dataPath: '/var/lib/rabbitmq',
    env: {
      RABBITMQ_NODENAME: 'rabbit@localhost',
      RABBITMQ_DEFAULT_USER: '{user}',
      RABBITMQ_DEFAULT_PASS: '{password}',
      RABBITMQ_DEFAULT_VHOST: '{database}',
    },
    ready: shell(
      'test -s /var/lib/rabbitmq/.erlang.cookie || exit 1',
      'rabbitmq-diagnostics --quiet check_port_connectivity || exit 1',
      `printf '%s\\n' "$SNAPVOL_PASSWORD" | rabbitmqctl --quiet authenticate_user "$SNAPVOL_USER"`,
    ),
    url: 'amqp://{user}:{password}@{host}:{port}/{database}',
    // Its client cuts them off.
    rules: { password: { allows: /^\S(.*\S)?$/s, text: 'must not begin or end with a blank' } },
  },

  // https://learn.microsoft.com/sql/linux/sql-server-linux-docker-container-configure
  // The image wants ACCEPT_EULA=Y besides: to agree to Microsoft's terms is the user's decision.
  // Its launch script, pid 1 from 2022 CU18 on, neither passes the stop signal on nor ends by it:
  // https://github.com/microsoft/mssql-docker/issues/968. The server itself ends with 0.
  // It makes no database: "master" is there, others are the seed's. They recover after "master" lets clients in.
  // No image names: its repository is called "server".
  {
    id: 'mssql',
    imageNames: [],
    defaultImage: 'mcr.microsoft.com/mssql/server:2022-latest',
    defaults: { user: 'sa', password: 'Snapvol-mssql-1', database: 'master' },
    port: 1433,
    dataPath: '/var/opt/mssql',
    env: { MSSQL_SA_PASSWORD: '{password}' },
    otherLogin: ['SA_PASSWORD'],
    entrypoint: ['/opt/mssql/bin/sqlservr'],
    // Images before 2022 CU14 have the older tools: https://github.com/microsoft/mssql-docker/issues/892
    ready: shell(
      'sqlcmd=/opt/mssql-tools18/bin/sqlcmd',
      'test -x "$sqlcmd" || sqlcmd=/opt/mssql-tools/bin/sqlcmd',
      'export SQLCMDPASSWORD="$SNAPVOL_PASSWORD"',
      'exec "$sqlcmd" -C -b -l 5 -t 5 -S 127.0.0.1 -U "$SNAPVOL_USER" -d "$SNAPVOL_DATABASE" \\',
      `  -Q "IF EXISTS (SELECT 1 FROM sys.databases WHERE state = 2) THROW 50000, 'recovering', 1;"`,
    ),
    rules: { user: { allows: /^sa$/, text: 'must be sa' }, password: eightCharacters },
    url: 'sqlserver://{user}:{password}@{host}:{port}?database={database}&TrustServerCertificate=true',
  },

  // https://etcd.io/docs/v3.5/op-guide/configuration/
  // https://github.com/etcd-io/etcd/blob/main/Dockerfile
  // No shell in the image from 3.5.7 on. As pid 1, etcd ends with 0:
  // https://github.com/etcd-io/etcd/blob/main/pkg/osutil/interrupt_unix.go
  {
    id: 'etcd',
    imageNames: ['etcd'],
    defaultImage: 'quay.io/coreos/etcd:v3.5.21',
    defaults: none,
    port: 2379,
    dataPath: '/var/lib/etcd',
    env: {
      ETCD_DATA_DIR: '/var/lib/etcd',
      ETCD_LISTEN_CLIENT_URLS: 'http://0.0.0.0:2379',
      ETCD_ADVERTISE_CLIENT_URLS: 'http://127.0.0.1:2379',
    },
    ready: ['etcdctl', 'endpoint', 'health'],
    url: 'http://{host}:{port}',
  },

  // https://docs.influxdata.com/influxdb/v2/install/?t=Docker
  // https://github.com/influxdata/influxdata-docker/blob/master/influxdb/2.7/entrypoint.sh
  // InfluxDB 2: the database is the bucket, the password (8 characters at least) the API token as well.
  // The temporary server listens on another port. The client, left to its own configuration, would ask just that one:
  // so the address must be given.
  {
    id: 'influxdb',
    imageNames: ['influxdb'],
    defaultImage: 'influxdb:2',
    defaults: { user: 'influxdb', password: 'influxdb', database: 'influxdb' },
    port: 8086,
    dataPath: '/var/lib/influxdb2',
    env: {
      DOCKER_INFLUXDB_INIT_MODE: 'setup',
      DOCKER_INFLUXDB_INIT_USERNAME: '{user}',
      DOCKER_INFLUXDB_INIT_PASSWORD: '{password}',
      DOCKER_INFLUXDB_INIT_ADMIN_TOKEN: '{password}',
      DOCKER_INFLUXDB_INIT_ORG: 'snapvol',
      DOCKER_INFLUXDB_INIT_BUCKET: '{database}',
    },
    initPath: '/docker-entrypoint-initdb.d',
    // https://docs.influxdata.com/influxdb/v2/reference/cli/influx/bucket/list/
    ready: shell(
      'export INFLUX_TOKEN="$DOCKER_INFLUXDB_INIT_ADMIN_TOKEN" INFLUX_ORG="$DOCKER_INFLUXDB_INIT_ORG"',
      'export INFLUX_BUCKET_NAME="$SNAPVOL_DATABASE"',
      'exec influx bucket list --host http://127.0.0.1:8086',
    ),
    rules: { password: eightCharacters },
    url: 'http://{host}:{port}',
  },

  // https://neo4j.com/docs/operations-manual/current/docker/
  // https://github.com/neo4j/docker-neo4j/blob/dev/docker-image-src/5/coredb/docker-entrypoint.sh
  // The image takes no other user than neo4j, and a password of 8 characters or more without a slash.
  // The URL is bolt: a client of neo4j:// would be sent on to the port inside the container.
  // 0, or 143: https://github.com/neo4j/neo4j/pull/9108, https://github.com/neo4j/neo4j/pull/10322
  {
    id: 'neo4j',
    imageNames: ['neo4j'],
    defaultImage: 'neo4j:5',
    defaults: { user: 'neo4j', password: 'snapvol-neo4j', database: 'neo4j' },
    port: 7687,
    dataPath: '/data',
    env: {
      NEO4J_AUTH: '{user}/{password}',
      NEO4J_initial_dbms_default__database: '{database}',
      NEO4J_server_memory_heap_max__size: '512m',
    },
    // https://neo4j.com/docs/operations-manual/current/cypher-shell/
    ready: shell(
      'export NEO4J_USERNAME="$SNAPVOL_USER" NEO4J_PASSWORD="$SNAPVOL_PASSWORD"',
      'export NEO4J_DATABASE="$SNAPVOL_DATABASE"',
      `exec cypher-shell --address bolt://127.0.0.1:7687 'RETURN 1'`,
    ),
    url: 'bolt://{host}:{port}',
    rules: {
      user: { allows: /^neo4j$/, text: 'must be neo4j' },
      password: { allows: /^[^/]{8,}$/s, text: 'must have 8 characters or more, and no "/"' },
    },
    cleanExitCodes: jvmExitCodes,
  },

  // https://hub.docker.com/_/cassandra
  // https://github.com/docker-library/cassandra/blob/master/docker-entrypoint.sh
  // The image would take the container's address, and the data remember it. It takes no users or keyspaces.
  // The two heap sizes go together: https://github.com/apache/cassandra/blob/cassandra-5.0/conf/cassandra-env.sh
  {
    id: 'cassandra',
    imageNames: ['cassandra'],
    defaultImage: 'cassandra:5',
    defaults: none,
    port: 9042,
    dataPath: '/var/lib/cassandra',
    env: {
      CASSANDRA_LISTEN_ADDRESS: '127.0.0.1',
      MAX_HEAP_SIZE: '512M',
      HEAP_NEWSIZE: '128M',
      JVM_EXTRA_OPTS: '-Dcassandra.skip_wait_for_gossip_to_settle=0',
    },
    // Clients are let in last of all.
    ready: ['cqlsh', '--execute', 'SELECT release_version FROM system.local', '127.0.0.1', '9042'],
    url: '{host}:{port}',
    cleanExitCodes: jvmExitCodes,
  },
];
