import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { StoredArtifact } from './artifact-service.ts';
import { startAzurite } from './azurite.ts';
import { proxyBlob } from './blob-proxy.ts';
import { CacheService, type CacheEntry } from './cache-service.ts';
import { Faults, type Endpoint } from './faults.ts';
import { answerRest, REST_PATH, REST_TOKEN } from './rest-api.ts';
import {
  blobPath,
  containerPath,
  fromHostedPath,
  hostedBlobPath,
  signBlob,
} from './signed-urls.ts';
import { TwirpError, errorOfStatus, readMessage, sendJson, type Method } from './twirp.ts';
import {
  REPOSITORY,
  WorkflowRuns,
  type Conclusion,
  type RunOptions,
  type WorkflowRun,
} from './workflow-runs.ts';

export type { Endpoint, Fault, Hold, RecordedRequest } from './faults.ts';
export { REPOSITORY, type WorkflowRun } from './workflow-runs.ts';

/** Ends in the only suffix for which the cache client downloads with Azure's SDK, as it does on GitHub. */
const AZURE_HOST = 'snapvol.blob.core.windows.net';

export interface ResultsServiceOptions {
  /**
   * Cache downloads have URLs of an Azure host, so that the client takes the way it takes on GitHub. The host does
   * not exist: `env` then names this service as HTTP proxy. Without it the client uses its plain HTTP way.
   */
  readonly azureDownloads?: boolean;
}

/**
 * GitHub's results service (caches and artifacts) and the part of its REST API that tells of artifacts, on loopback,
 * with real blob storage behind it.
 */
export interface ResultsService {
  /** What a runner would set for the clients in a first run. GITHUB_WORKSPACE is left to the test. */
  readonly env: Readonly<Record<string, string>>;
  /** A token for the REST API with `actions: read`. */
  readonly restToken: string;
  readonly faults: Faults;
  entries(): readonly CacheEntry[];
  /** Of the first run. */
  artifacts(): readonly StoredArtifact[];
  /** One more run; its `env` goes on top of the service's. */
  startRun(options?: RunOptions): WorkflowRun;
  conclude(run: WorkflowRun, conclusion: Conclusion): void;
  /** Takes away a run; its artifacts cannot be seen any more. */
  removeRun(run: WorkflowRun): void;
  /** An artifact's time is over: its bytes are gone, and GitHub still lists it. */
  expireArtifact(run: WorkflowRun, name: string): Promise<void>;
  /** Takes away a cache entry and its bytes. */
  evict(key: string): Promise<void>;
  /** What the entry `from` holds is saved under `to`, too, as if by another job. */
  copyEntry(from: string, to: string): void;
  /** Takes away an artifact and its bytes, of the first run where no other is named. */
  removeArtifact(name: string, run?: WorkflowRun): Promise<void>;
  /** As new: no entry, no artifact, no run but the first, no fault, no record. */
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
  const runs = new WorkflowRuns({ isReadOnly, signedUrl });
  const first = runs.start();
  const { artifacts } = first;

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    // A client of the proxy names the whole URL, every other one only the path.
    const url = new URL(request.url ?? '/', origin);
    const answerAny = (): Promise<void> => {
      if (url.pathname.startsWith('/twirp/')) {
        const run = runs.ofToken((request.headers.authorization ?? '').replace(/^Bearer /, ''));
        const methods = { ...cache.methods, ...(run ?? first).artifacts.methods };
        return answerTwirp(methods, url.pathname, run !== undefined, faults, request, response);
      }
      if (url.pathname.startsWith(`${REST_PATH}/`)) {
        return answerRest(runs, url, faults, request, response);
      }
      const path = url.host === AZURE_HOST ? fromHostedPath(url.pathname) : url.pathname;
      return proxyBlob(azurite.origin, `${path}${url.search}`, faults, request, response);
    };
    answerAny().catch(() => {
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
      ACTIONS_RUNTIME_URL: `${origin}/`,
      ...first.env,
      GITHUB_ACTIONS: 'true',
      GITHUB_API_URL: `${origin}${REST_PATH}`,
      GITHUB_REPOSITORY: REPOSITORY,
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_RETENTION_DAYS: '90',
      RUNNER_TEMP: tempDir,
      ...(options.azureDownloads === true && {
        HTTP_PROXY: origin,
        NO_PROXY: '127.0.0.1,localhost',
      }),
    },
    restToken: REST_TOKEN,
    faults,
    entries: () => cache.entries(),
    artifacts: () => artifacts.artifacts(),
    evict: (key) => removeBlobs(cache.evict(key)),
    copyEntry: (from, to) => {
      cache.copy(from, to);
    },
    startRun: (options) => runs.start(options),
    conclude: (run, conclusion) => {
      runs.conclude(run, conclusion);
    },
    removeRun: (run) => {
      runs.remove(run);
    },
    expireArtifact: (run, name) => removeBlobs(run.artifacts.expire(name)),
    removeArtifact: (name, run = first) => removeBlobs(run.artifacts.remove(name)),
    reset() {
      cache.clear();
      runs.clear(first);
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
  authorized: boolean,
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
    if (!authorized) {
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

async function blobRequest(origin: string, method: string, path: string): Promise<void> {
  const response = await fetch(`${origin}${path}`, { method });
  if (!response.ok) throw new Error(`Azurite answered ${response.status} to ${method}`);
}
