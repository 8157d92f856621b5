import { describeServers } from '../support/engine-suite.ts';
import { servers } from '../support/servers.ts';

const { postgres15, postgres17, postgres18, mariadb1011, mariadb118, mysql97 } = servers;

describeServers([postgres15, postgres17, postgres18, mariadb1011, mariadb118, mysql97]);
