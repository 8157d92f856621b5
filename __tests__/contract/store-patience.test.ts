import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { createActionsCacheStore } from '../../src/stores/actions-cache.ts';
import { createArtifactStore } from '../../src/stores/artifact.ts';
import { createRetryingStore } from '../../src/stores/retrying.ts';
import type { SnapshotStore } from '../../src/stores/store.ts';
import { FakeClock, hastyClock } from '../support/fake-clock.ts';
import { createRecordingLog, type RecordingLog } from '../support/recording-log.ts';
import {
  startResultsService,
  type Endpoint,
  type Hold,
  type ResultsService,
} from '../support/results-service/index.ts';
import { enterJob, withShortPauses, type Job } from '../support/results-service/job.ts';
import { contentsOf, createScratch, fill, type ScratchFolder } from '../support/store-bundles.ts';

// The stores of GitHub's services with the patience that they have in use, over the real clients.

const { signal } = new AbortController();
const EVERY_TRY = 100;

let service: ResultsService;
beforeAll(async () => {
  service = await startResultsService({ azureDownloads: true });
});
afterAll(async () => {
  await service.close();
});

describe.each([
  {
    kind: 'actions-cache',
    open: () => createActionsCacheStore(),
    lookUp: 'GetCacheEntryDownloadURL',
    reserve: 'CreateCacheEntry',
    /** How often the client itself asks when it is answered 503, and 429. */
    clientTries: { 503: 5, 429: 1 },
  },
  {
    kind: 'artifact',
    open: () => createArtifactStore({}),
    lookUp: 'ListArtifacts',
    reserve: 'CreateArtifact',
    clientTries: { 503: 5, 429: 5 },
  },
] as const)('$kind', ({ kind, open, lookUp, reserve, clientTries }) => {
  let job: Job;
  let scratch: ScratchFolder;
  let inner: SnapshotStore;
  let store: SnapshotStore;
  let log: RecordingLog;
  let bundle: string;
  let target: string;

  beforeEach(async () => {
    service.reset();
    job = await enterJob(service.env);
    log = createRecordingLog();
    inner = open();
    store = createRetryingStore(inner, { timeoutMs: 600_000, clock: hastyClock, log });
    scratch = await createScratch();
    bundle = await scratch.folder('bundle');
    await fill(bundle, kind, { 'manifest.json': 300, 'data.tar.zst': 300_000 });
    target = await scratch.folder('target');
  });
  afterEach(async () => {
    await job.leave();
    await scratch.remove();
  });

  const lookup = { primary: 'key', prefixes: [] };
  const found = { key: 'key', exact: true };
  const asked = (endpoint: Endpoint): number =>
    service.faults.requests.filter((request) => request.endpoint === endpoint).length;
  const unavailable = (reason: RegExp) => ({
    code: 'store-unavailable',
    message: expect.stringMatching(reason),
  });

  test('finds, loads and saves in spite of connections that break once or twice', async () => {
    service.faults.next(reserve, { kind: 'reset' });
    expect(await store.save('key', bundle, signal)).toBe('saved');
    service.faults.next(lookUp, { kind: 'reset' }, 2);
    expect(await store.find(lookup, signal)).toEqual(found);
    service.faults.next(lookUp, { kind: 'reset' });
    expect(await store.load(found, target, signal)).toBe(true);
    expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
    expect(log.lines).toHaveLength(4);
    for (const line of log.lines) expect(line).toMatch(/ECONNRESET.*; trying again in [1-8] s$/);
  });

  test('gives up a service that is not there after three tries', async () => {
    job.set('ACTIONS_RESULTS_URL', 'http://127.0.0.1:1/');
    await expect(store.find(lookup, signal)).rejects.toMatchObject(unavailable(/ECONNREFUSED/));
    expect(log.lines).toHaveLength(2);
  });

  test('does not multiply the tries of the client', async () => {
    for (const status of [503, 429] as const) {
      service.faults.clear();
      log.lines.length = 0;
      service.faults.next(lookUp, { kind: 'status', status, retryAfterSeconds: 20 }, EVERY_TRY);
      await withShortPauses(() =>
        expect(store.find(lookup, signal)).rejects.toMatchObject(unavailable(/was answered/)),
      );
      const own = clientTries[status];
      expect(asked(lookUp)).toBe(own === 1 ? 3 : own);
      expect(log.lines).toEqual(
        own === 1 ? Array(2).fill(expect.stringMatching(/429.*; trying again in 20 s$/)) : [],
      );
    }
  });

  test('does not upload again what would find its own key taken', async () => {
    service.faults.next('upload', { kind: 'status', status: 500 }, EVERY_TRY);
    await withShortPauses(() =>
      expect(store.save('key', bundle, signal)).rejects.toMatchObject(
        unavailable(/upload was answered 500/),
      ),
    );
    expect(asked(reserve)).toBe(1);
    expect(log.lines).toEqual([]);
  });

  test('gives up what stalls when its time is over, and leaves nothing', async () => {
    await store.save('key', bundle, signal);
    const clock = new FakeClock();
    const bounded = createRetryingStore(inner, { timeoutMs: 3000, clock, log });
    const giveUp = async (stall: Hold, work: () => Promise<unknown>): Promise<void> => {
      const gaveUp = expect(work()).rejects.toMatchObject(
        unavailable(/^\S+: could not .* (other|key): it was not done within 3 s$/),
      );
      await stall.reached;
      clock.wakeNext();
      await gaveUp; // while the service still stalls
      expect(clock.sleeping).toBe(0);
      expect(await readdir(target)).toEqual([]);
      expect(await readdir(job.workspaceDir)).toEqual([]);
      stall.release();
    };
    await giveUp(service.faults.hold(lookUp), () => bounded.find(lookup, signal));
    await giveUp(service.faults.stallDownload(1000), () => bounded.load(found, target, signal));
    await giveUp(service.faults.hold('upload'), () => bounded.save('other', bundle, signal));
    // The clients, which nobody can stop, have ended by now or do not disturb.
    expect(await store.save('next', bundle, signal)).toBe('saved');
    expect(await store.load({ key: 'next', exact: true }, target, signal)).toBe(true);
    expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
    expect(await readdir(job.workspaceDir)).toEqual([]);
    expect((await readdir(dirname(target))).filter((name) => name.startsWith('snapvol-'))).toEqual(
      [],
    );
  });
});
