import type { ImageFacts } from '../../src/runtime/runtime.ts';
import { makeImage } from './image-facts.ts';

type Facts = Partial<Pick<ImageFacts, 'env' | 'volumes' | 'ports' | 'stopSignal' | 'user'>>;

/** An image that declares nothing but `facts`. */
const image = (reference: string, facts: Facts): ImageFacts =>
  makeImage({ reference, env: {}, volumes: [], ports: [], stopSignal: undefined, ...facts });

/**
 * What `docker image inspect` says of the official images, made from the Dockerfiles: by engine or preset id, and a
 * version where two differ. Of `env`, the variables that tell a version or a place. None of them sets STOPSIGNAL.
 */
export const officialImages: Record<string, ImageFacts> = {
  // https://github.com/docker-library/mysql/blob/master/8.4/Dockerfile.oracle
  mysql: image('mysql:8.4', {
    env: { MYSQL_MAJOR: '8.4', MYSQL_VERSION: '8.4.3-1.el9', MYSQL_SHELL_VERSION: '8.4.3-1.el9' },
    volumes: ['/var/lib/mysql'],
    ports: [3306, 33_060],
  }),

  // https://github.com/docker-library/mysql/blob/master/9.7/Dockerfile.oracle
  'mysql 9.7': image('mysql:9.7', {
    env: { MYSQL_MAJOR: '9.7', MYSQL_VERSION: '9.7.0-1.el9', MYSQL_SHELL_VERSION: '9.7.0-1.el9' },
    volumes: ['/var/lib/mysql'],
    ports: [3306, 33_060],
  }),

  // https://github.com/MariaDB/mariadb-docker/blob/master/11.8/Dockerfile
  mariadb: image('mariadb:11.8', {
    env: { MARIADB_VERSION: '1:11.8.2+maria~ubu2404' },
    volumes: ['/var/lib/mysql'],
    ports: [3306],
  }),

  // https://github.com/redis/docker-library-redis/blob/release/7.4/debian/Dockerfile
  redis: image('redis:7', {
    env: {
      REDIS_VERSION: '7.4.3',
      REDIS_DOWNLOAD_URL: 'http://download.redis.io/releases/redis-7.4.3.tar.gz',
    },
    volumes: ['/data'],
    ports: [6379],
  }),

  // Up to 8.4 the address of the sources is all that tells the version, later images have REDIS_VERSION alone.
  // https://github.com/docker-library/repo-info/tree/master/repos/redis
  'redis 8.2': image('redis:8.2', {
    env: {
      REDIS_DOWNLOAD_URL: 'https://github.com/redis/redis/archive/refs/tags/8.2.3.tar.gz',
    },
    volumes: ['/data'],
    ports: [6379],
  }),

  // https://github.com/docker-library/repo-info/blob/master/repos/redis/local/8.md
  // https://github.com/redis/docker-library-redis/blob/unstable/debian/Dockerfile.j2
  'redis 8': image('redis:8', {
    env: { REDIS_VERSION: '8.10.0' },
    volumes: ['/data'],
    ports: [6379],
  }),

  // https://github.com/valkey-io/valkey-container/blob/mainline/8.1/debian/Dockerfile
  // No VOLUME any more: https://github.com/valkey-io/valkey-container/pull/84
  valkey: image('valkey/valkey:8', { env: { VALKEY_VERSION: '8.1.8' }, ports: [6379] }),

  // https://github.com/docker-library/mongo/blob/master/8.0/Dockerfile
  mongodb: image('mongo:8', {
    env: { MONGO_MAJOR: '8.0', MONGO_VERSION: '8.0.4', HOME: '/data/db' },
    volumes: ['/data/configdb', '/data/db'],
    ports: [27_017],
  }),

  // https://github.com/ClickHouse/docker-library/blob/main/server/25.8.10.7/Dockerfile.ubuntu
  // VERSION is a build argument there: no variable tells it.
  clickhouse: image('clickhouse/clickhouse-server:25.8', {
    env: { CLICKHOUSE_CONFIG: '/etc/clickhouse-server/config.xml' },
    volumes: ['/var/lib/clickhouse'],
    ports: [8123, 9000, 9009],
  }),

  // https://github.com/elastic/elasticsearch/blob/main/distribution/docker/src/docker/dockerfiles/default/Dockerfile
  // https://github.com/docker-library/repo-info/blob/master/repos/elasticsearch/local/9.5.3.md
  // The version is in a label only. USER is from the first; the second, with all variables, does not show it.
  elasticsearch: image('docker.elastic.co/elasticsearch/elasticsearch:9.5.3', {
    env: { ELASTIC_CONTAINER: 'true' },
    ports: [9200, 9300],
    user: '1000:0',
  }),

  // https://github.com/opensearch-project/opensearch-build/blob/main/docker/release/dockerfiles/opensearch.al2023.dockerfile
  // The version is in a label only.
  opensearch: image('opensearchproject/opensearch:3', {
    env: { JAVA_HOME: '/usr/share/opensearch/jdk' },
    ports: [9200, 9300, 9600, 9650],
    user: '1000',
  }),

  // https://github.com/docker-library/rabbitmq/blob/master/4.1/ubuntu/Dockerfile
  rabbitmq: image('rabbitmq:4', {
    env: {
      RABBITMQ_VERSION: '4.1.1',
      RABBITMQ_DATA_DIR: '/var/lib/rabbitmq',
      RABBITMQ_HOME: '/opt/rabbitmq',
      HOME: '/var/lib/rabbitmq',
    },
    volumes: ['/var/lib/rabbitmq'],
    ports: [4369, 5671, 5672, 15_691, 15_692, 25_672],
  }),

  // Microsoft publishes no Dockerfile of it. Variables and port as others read them from the image; the user from
  // https://github.com/microsoft/mssql-docker/issues/869. Not found: whether it declares volumes.
  mssql: image('mcr.microsoft.com/mssql/server:2022-latest', {
    env: { MSSQL_PID: 'developer', MSSQL_RPC_PORT: '135' },
    ports: [1433],
    user: 'mssql',
  }),

  // https://github.com/etcd-io/etcd/blob/main/Dockerfile, which the one of the branch release-3.5 is like
  etcd: image('quay.io/coreos/etcd:v3.5.21', { ports: [2379, 2380] }),

  // https://github.com/influxdata/influxdata-docker/blob/master/influxdb/2.7/Dockerfile
  // https://github.com/docker-library/repo-info/blob/master/repos/influxdb/local/2.9.1.md
  influxdb: image('influxdb:2', {
    env: {
      INFLUXDB_VERSION: '2.9.1',
      INFLUX_CONFIGS_PATH: '/etc/influxdb2/influx-configs',
      INFLUXD_INIT_PORT: '9999',
    },
    volumes: ['/etc/influxdb2', '/var/lib/influxdb2'],
    ports: [8086],
  }),

  // https://github.com/neo4j/docker-neo4j/blob/dev/docker-image-src/5/coredb/Dockerfile-debian
  // https://github.com/docker-library/repo-info/tree/master/repos/neo4j
  neo4j: image('neo4j:5', {
    env: {
      NEO4J_TARBALL: 'neo4j-community-5.26.30-unix.tar.gz',
      NEO4J_EDITION: 'community',
      NEO4J_HOME: '/var/lib/neo4j',
    },
    volumes: ['/data', '/logs'],
    ports: [7473, 7474, 7687],
  }),

  // https://github.com/docker-library/cassandra/blob/master/5.0/Dockerfile
  // https://github.com/docker-library/repo-info/blob/master/repos/cassandra/local/5.0.md
  cassandra: image('cassandra:5', {
    env: {
      CASSANDRA_VERSION: '5.0.9',
      CASSANDRA_HOME: '/opt/cassandra',
      CASSANDRA_CONF: '/etc/cassandra',
    },
    volumes: ['/var/lib/cassandra'],
    ports: [7000, 7001, 7199, 9042, 9160],
  }),
};

/** By the id of an engine or a preset. */
export function officialImage(id: string): ImageFacts {
  const facts: Readonly<Record<string, ImageFacts | undefined>> = officialImages;
  const found = facts[id];
  if (found) return found;
  throw new Error(`there are no facts of the official image of ${id}`);
}
