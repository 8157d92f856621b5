import { jest } from '@jest/globals';

import { describeServers } from '../support/engine-suite.ts';
import type { Server } from '../support/servers.ts';
import { officialServers } from './servers.ts';

jest.setTimeout(20 * 60_000);

/** All of them, or those named in SNAPVOL_OFFICIAL. */
function wanted(): readonly Server[] {
  const names = (process.env['SNAPVOL_OFFICIAL'] ?? '').split(' ').filter((name) => name !== '');
  const servers: Readonly<Record<string, Server>> = officialServers;
  if (names.length === 0) return Object.values(servers);
  return names.map((name) => {
    const server = servers[name];
    if (server) return server;
    const known = Object.keys(servers).join(', ');
    throw new Error(`SNAPVOL_OFFICIAL names ${name}; there are: ${known}`);
  });
}

describeServers(wanted());
