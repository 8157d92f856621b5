import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
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
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      rmSync(dir, { recursive: true });
    },
  };
}
