import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';

import { describe, expect, test } from '@jest/globals';

import { findFreePort, isPortFree, processListeningOn } from '../../../src/runtime/ports.ts';

async function listen(host: string): Promise<AsyncDisposable & { readonly port: number }> {
  const server: Server = createServer().listen({ port: 0, host });
  await once(server, 'listening');
  return {
    // A cast: it listens on TCP, so it has this kind of address.
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

describe.each(['127.0.0.1', '0.0.0.0'])('a port that is listened on at %s', (host) => {
  test('is not free until it is closed', async () => {
    let port: number;
    {
      await using server = await listen(host);
      ({ port } = server);
      expect(await isPortFree(port)).toBe(false);
    }
    expect(await isPortFree(port)).toBe(true);
  });

  test('is known by its process: ours', async () => {
    await using server = await listen(host);
    expect(await processListeningOn(server.port)).toMatch(
      new RegExp(`^.+ \\(pid ${process.pid}\\)$`),
    );
  });
});

test('another process is known by its name and number', async () => {
  const script =
    "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port); })";
  const child = spawn(process.execPath, ['-e', script], { argv0: '/opt/bin/snapvol-holder' });
  try {
    const port = Number(await new Promise((resolve) => child.stdout.once('data', resolve)));
    expect(await processListeningOn(port)).toBe(`snapvol-holder (pid ${child.pid ?? '?'})`);
  } finally {
    child.kill();
    await once(child, 'close');
  }
});

test('a port that nobody listens on has nobody to name', async () => {
  expect(await processListeningOn(await findFreePort())).toBeUndefined();
});

test('a free port is one that can be listened on', async () => {
  const port = await findFreePort();
  expect(port).toBeGreaterThan(1023);
  expect(await isPortFree(port)).toBe(true);
});
