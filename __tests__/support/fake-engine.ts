import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Something on a socket that answers like a container engine, for what a real one cannot be made to say. */
export async function startFakeEngine(
  answer: RequestListener,
): Promise<AsyncDisposable & { readonly path: string; readonly host: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'snapvol-engine-'));
  const path = join(dir, 'docker.sock');
  const server = createServer(answer).listen(path);
  await once(server, 'listening');
  return {
    path,
    host: `unix://${path}`,
    async [Symbol.asyncDispose]() {
      await end(server);
      rmSync(dir, { recursive: true });
    },
  };
}

/** The same on a port of loopback, behind TLS. */
export async function startSecureEngine(
  tls: ServerOptions,
  answer: RequestListener,
): Promise<AsyncDisposable & { readonly host: string }> {
  const server = createSecureServer(tls, answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The address of a listening TCP server is always this.
  const { port } = server.address() as AddressInfo;
  return { host: `tcp://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => end(server) };
}

async function end(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}
