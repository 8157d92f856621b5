import { describeServers } from '../support/engine-suite.ts';
import { servers } from '../support/servers.ts';

const { redis7, redis7aof, valkey8, clickhouse, etcd } = servers;

describeServers([redis7, redis7aof, valkey8, clickhouse, etcd]);
