import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { extract } from 'tar-stream';

/** A registry on loopback, with one image. Engines on this machine take it without TLS. */
export interface Registry extends AsyncDisposable {
  readonly reference: string;
  /** From now on layers are sent when it has happened, and not before. */
  holdUntil(moment: Promise<unknown>): void;
}

const types = 'application/vnd.docker';

/** Serves an image that the engine has. @param name its name and tag in the registry */
export async function startRegistry(image: string, name: string): Promise<Registry> {
  const files = await filesOf(image);
  const blobs = new Map<string, Buffer>();
  const blob = (file: string, mediaType: string) => {
    const bytes = files.get(file) ?? Buffer.alloc(0);
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, size: bytes.length, digest };
  };
  // A cast: `docker save` writes it so. https://github.com/moby/docker-image-spec
  const [saved] = JSON.parse(String(files.get('manifest.json'))) as {
    readonly Config: string;
    readonly Layers: readonly string[];
  }[];
  const mediaType = `${types}.distribution.manifest.v2+json`;
  const manifest = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType },
      config: blob(saved?.Config ?? '', `${types}.container.image.v1+json`),
      layers: saved?.Layers.map((layer) => blob(layer, `${types}.image.rootfs.diff.tar`)),
    }),
  );

  let moment: Promise<unknown> = Promise.resolve();
  const answer = async (path: string): Promise<{ type: string; bytes: Buffer } | undefined> => {
    if (path === '/v2/') return { type: 'application/json', bytes: Buffer.from('{}') };
    if (path.includes('/manifests/')) return { type: mediaType, bytes: manifest };
    await moment;
    const bytes = blobs.get(path.slice(path.lastIndexOf('/') + 1));
    return bytes && { type: 'application/octet-stream', bytes };
  };
  // https://github.com/opencontainers/distribution-spec/blob/main/spec.md
  const server = createServer((request, response) => {
    void answer(request.url ?? '').then((found) => {
      if (!found) return response.writeHead(404).end();
      response.writeHead(200, {
        'content-type': found.type,
        'content-length': found.bytes.length,
        'docker-content-digest': digestOf(found.bytes),
      });
      return response.end(request.method === 'HEAD' ? undefined : found.bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The address of a listening TCP server is always this.
  const { port } = server.address() as AddressInfo;
  return {
    reference: `127.0.0.1:${port}/${name}`,
    holdUntil(next) {
      moment = next;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Of what `docker save` writes. */
async function filesOf(image: string): Promise<ReadonlyMap<string, Buffer>> {
  const save = spawn('docker', ['save', image], { env: process.env });
  const entries = save.stdout.pipe(extract());
  const files = new Map<string, Buffer>();
  for await (const entry of entries) files.set(entry.header.name, await buffer(entry));
  return files;
}
