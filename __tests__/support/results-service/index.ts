import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ArtifactService, type StoredArtifact } from './artifact-service.ts';
import { startAzurite } from './azurite.ts';
import { proxyBlob } from './blob-proxy.ts';
import { CacheService, type CacheEntry } from './cache-service.ts';
import { Faults, type Endpoint } from './faults.ts';
import {
  blobPath,
  containerPath,
  fromHostedPath,
  hostedBlobPath,
  signBlob,
} from './signed-urls.ts';
import { TwirpError, errorOfStatus, readMessage, sendJson, type Method } from './twirp.ts';

export type { Endpoint, Fault, Hold, RecordedRequest } from './faults.ts';

const RUN = 'ce7f54c7-61c7-4aae-887f-30da475f5f1a';
const JOB = 'ca395085-040a-526b-2ce8-bdc85f692774';

/** Ends in the only suffix for which the cache client downloads with Azure's SDK, as it does on GitHub. */
const AZURE_HOST = 'snapvol.blob.core.windows.net';

export interface ResultsServiceOptions {
  /**
   * Cache downloads have URLs of an Azure host, so that the client takes the way it takes on GitHub. The host does
   * not exist: `env` then names this service as HTTP proxy. Without it the client uses its plain HTTP way.
   */
  readonly azureDownloads?: boolean;
}

/** GitHub's results service (caches and artifacts) on loopback, with real blob storage behind it. */
export interface ResultsService {
  /** What a runner would set for the clients. GITHUB_WORKSPACE is left to the test. */
  readonly env: Readonly<Record<string, string>>;
  readonly faults: Faults;
  entries(): readonly CacheEntry[];
  artifacts(): readonly StoredArtifact[];
  /** Takes away a cache entry and its bytes. */
  evict(key: string): Promise<void>;
  /** What the entry `from` holds is saved under `to`, too, as if by another job. */
  copyEntry(from: string, to: string): void;
  /** Takes away an artifact and its bytes. */
  removeArtifact(name: string): Promise<void>;
  /** As new: no entry, no artifact, no fault, no record. */
  reset(): void;
  close(): Promise<void>;
}

export async function startResultsService(
  options: ResultsServiceOptions = {},
): Promise<ResultsService> {
  const azurite = await startAzurite();
  await blobRequest(azurite.origin, 'PUT', containerPath());
  const tempDir = await mkdtemp(join(tmpdir(), 'results-service-'));
  const faults = new Faults();
  const isReadOnly = (): boolean => faults.readOnlyToken;
  const token = fakeToken();

  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The address of a listening TCP server is always this.
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const signedUrl = (blob: string, permissions: string, disposition?: string): string =>
    `${origin}${blobPath(blob)}?${signBlob(blob, permissions, disposition)}`;
  const cache = new CacheService({
    isReadOnly,
    signedUrl: (blob, permissions) =>
      options.azureDownloads === true && permissions === 'r'
        ? `http://${AZURE_HOST}${hostedBlobPath(blob)}?${signBlob(blob, permissions)}`
        : signedUrl(blob, permissions),
  });
  const artifacts = new ArtifactService({ runId: RUN, isReadOnly, signedUrl });
  const methods = { ...cache.methods, ...artifacts.methods };

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    // A client of the proxy names the whole URL, every other one only the path.
    const url = new URL(request.url ?? '/', origin);
    const answer = url.pathname.startsWith('/twirp/')
      ? answerTwirp(methods, url.pathname, token, faults, request, response)
      : proxyBlob(
          azurite.origin,
          `${url.host === AZURE_HOST ? fromHostedPath(url.pathname) : url.pathname}${url.search}`,
          faults,
          request,
          response,
        );
    answer.catch(() => {
      response.destroy(); // the client has gone, or Azurite has
    });
  });

  const removeBlobs = async (blobs: readonly string[]): Promise<void> => {
    for (const blob of blobs) {
      await blobRequest(azurite.origin, 'DELETE', `${blobPath(blob)}?${signBlob(blob, 'd')}`);
    }
  };

  return {
    env: {
      ACTIONS_RESULTS_URL: `${origin}/`,
      ACTIONS_CACHE_URL: `${origin}/`,
      ACTIONS_CACHE_SERVICE_V2: 'true',
      ACTIONS_RUNTIME_TOKEN: token,
      ACTIONS_RUNTIME_URL: `${origin}/`,
      GITHUB_ACTIONS: 'true',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_RETENTION_DAYS: '90',
      RUNNER_TEMP: tempDir,
      ...(options.azureDownloads === true && {
        HTTP_PROXY: origin,
        NO_PROXY: '127.0.0.1,localhost',
      }),
    },
    faults,
    entries: () => cache.entries(),
    artifacts: () => artifacts.artifacts(),
    evict: (key) => removeBlobs(cache.evict(key)),
    copyEntry: (from, to) => {
      cache.copy(from, to);
    },
    removeArtifact: (name) => removeBlobs(artifacts.remove(name)),
    reset() {
      cache.clear();
      artifacts.clear();
      faults.clear();
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await azurite.close();
      await rm(tempDir, { recursive: true, force: true });
    },
  };
}

async function answerTwirp(
  methods: Readonly<Record<string, Method>>,
  path: string,
  token: string,
  faults: Faults,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const method = methods[name];
  try {
    if (method === undefined) throw new TwirpError(404, 'bad_route', `no method ${name}`);
    const message = await readMessage(request);
    const fault = await faults.take(name as Endpoint, 'POST'); // the methods are endpoints
    if (fault?.kind === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    if (fault?.kind === 'status') {
      const { code, message: msg } = errorOfStatus(fault.status);
      const seconds = fault.retryAfterSeconds;
      const headers = seconds === undefined ? {} : { 'retry-after': String(seconds) };
      sendJson(response, fault.status, { code, msg }, headers);
      return;
    }
    if (request.headers.authorization !== `Bearer ${token}`) {
      throw new TwirpError(401, 'unauthenticated', 'missing or unknown token');
    }
    const answer = await method(message);
    if (fault?.kind === 'lost-answer') request.socket.resetAndDestroy();
    else sendJson(response, 200, answer);
  } catch (error) {
    if (!(error instanceof TwirpError)) throw error;
    sendJson(response, error.status, { code: error.code, msg: error.message });
  }
}

/** A token as a runner gets it, as far as clients look into it: the scope names the run and the job. */
function fakeToken(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { scp: `Actions.ExampleScope Actions.Results:${RUN}:${JOB}` };
  return `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.unsigned`;
}

async function blobRequest(origin: string, method: string, path: string): Promise<void> {
  const response = await fetch(`${origin}${path}`, { method });
  if (!response.ok) throw new Error(`Azurite answered ${response.status} to ${method}`);
}
