import { expect, test } from '@jest/globals';

import { runCli, useNames } from '../support/cli.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { logOf, runIn, type Serving } from '../support/server-shell.ts';
import { servers, type ChangingServer } from '../support/servers.ts';

const { postgres18, mariadb118, mysql97, redis7aof, valkey8, clickhouse, etcd } = servers;
const newName = useNames('engine-reset');

interface Started extends Serving {
  readonly clones: readonly [Pick<Serving, 'container' | 'host' | 'port'>];
}

async function snapvol(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runCli(args);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr });
  return stdout;
}

test.each<ChangingServer>([postgres18, mariadb118, mysql97, redis7aof, valkey8, clickhouse, etcd])(
  '$title and a clone of it change apart, and are put back, one of them after a kill',
  async (server) => {
    const name = newName();
    const inputs = Object.entries({
      ...{ image: testImage(server.image), port: '0', ...server.inputs },
      ...{ save: 'false', store: 'file:/nowhere', clones: '1', seed: server.seed },
    });
    const flags = inputs.flatMap(([input, value]) => [`--${input}`, value]);
    // A cast: what is read of it is used, and would not be there.
    const started = JSON.parse(await snapvol('start', name, '--json', ...flags)) as Started;
    const [first, second] = [started, { ...started, ...started.clones[0] }];
    const both = [first, second];
    const sums = (): Promise<string[]> =>
      Promise.all(both.map((each) => runIn(server, each, server.checksum)));
    const addresses = (): Promise<string[]> =>
      Promise.all(both.map(({ container }) => docker('port', container)));
    const [sum = '', ...others] = await sums();
    expect(sum).toMatch(server.sum ?? /^200000\b/);
    expect(others).toEqual([sum]);
    const published = await addresses();

    await runIn(server, first, server.change);
    const [changed] = await sums();
    expect(changed).not.toBe(sum);
    expect(await sums()).toEqual([changed, sum]);
    await runIn(server, second, server.change);
    await docker('kill', second.container);
    await Promise.all([snapvol('reset', name), snapvol('reset', `${name}-1`)]);

    expect(await sums()).toEqual([sum, sum]);
    expect(await addresses()).toEqual(published);
    for (const each of both) {
      // Nothing of the first time is left.
      await runIn(server, each, server.change);
      const log = await logOf(server, each.container);
      expect(log).toMatch(server.started);
      expect(log).not.toMatch(server.recovery);
    }
    await snapvol('stop', name);
    const left = ['--filter', `name=${name}`];
    expect(await docker('ps', '--all', '--quiet', ...left)).toBe('');
    expect(await docker('volume', 'ls', '--quiet', ...left)).toBe('');
  },
);
