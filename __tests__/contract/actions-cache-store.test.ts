import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import * as client from '@actions/cache';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { createActionsCacheStore } from '../../src/stores/actions-cache.ts';
import type { SnapshotStore } from '../../src/stores/store.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { enterJob, withShortPauses, type Job } from '../support/results-service/job.ts';
import { contentsOf, createScratch, fill, type ScratchFolder } from '../support/store-bundles.ts';
import { testStoreContract } from '../support/store-contract.ts';

const live = new AbortController().signal;
const EVERY_TRY = 100;

// The client downloads from Azure's hosts with Azure's SDK, from any other with plain HTTP.
describe.each([
  { way: "Azure's SDK", azureDownloads: true },
  { way: 'plain HTTP', azureDownloads: false },
])('downloading with $way', ({ azureDownloads }) => {
  let service: ResultsService;
  let job: Job;
  let scratch: ScratchFolder;
  let store: SnapshotStore;

  beforeAll(async () => {
    service = await startResultsService({ azureDownloads });
  });

  afterAll(async () => {
    await service.close();
  });

  const enter = async (): Promise<void> => {
    service.reset();
    job = await enterJob(service.env);
    store = createActionsCacheStore();
  };

  if (azureDownloads) {
    testStoreContract(
      'actions-cache',
      async () => {
        await enter();
        return { store, evict: (key) => service.evict(key), close: () => job.leave() };
      },
      { listable: false, replaceable: false },
    );
  }

  describe('when the service misbehaves', () => {
    let bundle: string;
    let target: string;

    beforeEach(async () => {
      await enter();
      scratch = await createScratch();
      bundle = await scratch.folder('bundle');
      await fill(bundle, 'faults', { 'manifest.json': 300, 'data.tar.zst': 300_000 });
      target = await scratch.folder('target');
    });

    afterEach(async () => {
      await job.leave();
      await scratch.remove();
    });

    const find = (primary: string, ...prefixes: string[]) =>
      store.find({ primary, prefixes }, live);
    const load = (key: string, signal = live) => store.load({ key, exact: true }, target, signal);
    const save = (key: string, signal = live) => store.save(key, bundle, signal);
    const unavailable = (reason: RegExp) => ({
      code: 'store-unavailable',
      message: expect.stringMatching(reason),
    });
    /** Looks often enough for anyone who would make or remove something. */
    const expectWorkspaceStays = async (...names: readonly string[]): Promise<void> => {
      for (let turn = 0; turn < 100; turn += 1) {
        expect(await readdir(job.workspaceDir)).toEqual(names);
      }
    };
    const expectNothingLeft = async (): Promise<void> => {
      expect(await readdir(target)).toEqual([]);
      expect(await readdir(job.workspaceDir)).toEqual([]);
    };

    /** What the client packs from now on gets other paths; `sed` as tar's --transform takes it. */
    const saveHostile = async (key: string, sed: string): Promise<void> => {
      const folder = join(job.workspaceDir, '.snapvol-cache');
      await mkdir(folder);
      await writeFile(join(folder, 'a'), 'hostile');
      await symlink(target, join(folder, 'b'));
      await writeFile(join(folder, 'c'), 'hostile');
      job.set('TAR_OPTIONS', `--transform=${sed}`);
      await client.saveCache(['.snapvol-cache/*'], key);
      job.set('TAR_OPTIONS', undefined);
      await rm(folder, { recursive: true });
    };

    test.each([
      ['an absolute path', (away: string) => `s,^.*/a$,${away}/kept,`],
      ['a path with ".."', (away: string) => `s,^.*/a$,.snapvol-cache/../../../..${away}/kept,`],
      ['a path through a symlink', () => 's,^.*/c$,.snapvol-cache/b/kept,S'],
      [
        'a symlink in place of its folder',
        () => 's,^.*/b$,.snapvol-cache,S;s,^.*/c$,.snapvol-cache/kept,S',
      ],
    ])('refuses an entry with %s, which changes nothing elsewhere', async (_, sed) => {
      const away = await scratch.folder('away');
      await writeFile(join(away, 'kept'), 'as it was');
      await saveHostile('key', sed(away));
      await expect(load('key')).rejects.toMatchObject({
        code: 'snapshot-corrupt',
        message: expect.stringContaining('is no file, so it cannot be part of a bundle'),
      });
      expect(await readFile(join(away, 'kept'), 'utf8')).toBe('as it was');
      expect(process.env['TAR_OPTIONS']).toBeUndefined();
      await expectNothingLeft();
    });

    test('loads nothing when the entry goes between its look-up and its download', async () => {
      await save('key');
      const download = service.faults.hold('download');
      const loading = load('key');
      await download.reached;
      await service.evict('key');
      download.release();
      expect(await withShortPauses(() => loading)).toBe(false);
      expect(service.faults.hits('download', 'hold')).toBe(1);
      await expectNothingLeft();
    });

    test.each([
      ['a connection that ends early', { kind: 'cut', afterBytes: 1000 }, /broke off/],
      ['a body that is too short', { kind: 'shorten', toBytes: 100_000 }, /is damaged/],
      ['one wrong bit', { kind: 'flip', offset: 150_000 }, /is damaged/],
      ['a failing blob service', { kind: 'status', status: 500 }, /download was answered 500/],
      ['a blob service that ends connections', { kind: 'reset' }, /ECONNRESET/],
    ] as const)('delivers nothing after %s, and all once it is over', async (_, fault, reason) => {
      await save('key');
      service.faults.next('download', fault, EVERY_TRY);
      await withShortPauses(() => expect(load('key')).rejects.toMatchObject(unavailable(reason)));
      expect(service.faults.hits('download', fault.kind)).toBeGreaterThan(0);
      await expectNothingLeft();
      service.faults.clear();
      expect(await load('key')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
    });

    test.each([
      { during: 'find', endpoint: 'GetCacheEntryDownloadURL' },
      { during: 'load', endpoint: 'download' },
      { during: 'save', endpoint: 'upload' },
    ] as const)('stops at once when cancelled during $during', async ({ during, endpoint }) => {
      if (during !== 'save') await save('key');
      const request = service.faults.hold(endpoint);
      const controller = new AbortController();
      const { signal } = controller;
      const work = {
        find: () => store.find({ primary: 'key', prefixes: [] }, signal),
        load: () => load('key', signal),
        save: () => save('key', signal),
      }[during]();
      const failed = expect(work).rejects.toMatchObject({ code: 'cancelled' });
      await request.reached;
      controller.abort();
      await failed; // while the service still holds the request
      expect(await readdir(target)).toEqual([]);
      request.release();
      // The next one waits for the client, which goes on, and finds its folder empty.
      expect(await save('next')).toBe('saved');
      expect(await load('next')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
      expect(await readdir(job.workspaceDir)).toEqual([]);
    });

    test('downloads in the way that it says', async () => {
      await save('key');
      service.faults.clear();
      await load('key');
      const methods = service.faults.requests
        .filter((request) => request.endpoint === 'download')
        .map((request) => request.method);
      expect(methods).toEqual(azureDownloads ? ['HEAD', 'GET'] : ['GET']);
    });

    if (!azureDownloads) return; // the rest has nothing to do with downloads

    test('calls a service that only fails unavailable, not a miss', async () => {
      await save('key');
      service.faults.next('GetCacheEntryDownloadURL', { kind: 'status', status: 500 }, EVERY_TRY);
      await withShortPauses(() =>
        expect(find('key')).rejects.toMatchObject(
          unavailable(
            /GetCacheEntryDownloadURL was answered 500 Internal Server Error \(5 times\)/,
          ),
        ),
      );
      expect(service.faults.hits('GetCacheEntryDownloadURL', 'status')).toBe(5);
    });

    test('finds the snapshot when only the first try fails', async () => {
      await save('key');
      service.faults.next('GetCacheEntryDownloadURL', { kind: 'status', status: 503 });
      expect(await withShortPauses(() => find('key'))).toEqual({ key: 'key', exact: true });
      expect(service.faults.hits('GetCacheEntryDownloadURL', 'status')).toBe(1);
    });

    test('tells a rate limit and a broken connection from a miss', async () => {
      await save('key');
      const limit = { kind: 'status', status: 429, retryAfterSeconds: 60 } as const;
      service.faults.next('GetCacheEntryDownloadURL', limit);
      await expect(find('key')).rejects.toMatchObject(unavailable(/answered 429/));
      service.faults.next('GetCacheEntryDownloadURL', { kind: 'reset' });
      await expect(load('key')).rejects.toMatchObject(unavailable(/ECONNRESET/));
      await expectNothingLeft();
      service.faults.next('GetCacheEntryDownloadURL', { kind: 'status', status: 403 });
      await expect(find('key')).rejects.toMatchObject(unavailable(/answered 403/));
      expect(service.faults.hits('GetCacheEntryDownloadURL', 'status')).toBe(2);
      expect(service.faults.hits('GetCacheEntryDownloadURL', 'reset')).toBe(1);
    });

    test('takes a newer prefix match although another begins with the whole primary key', async () => {
      await save('app-1-older');
      await save('app-2-newer');
      expect(await find('app-1', 'app-')).toEqual({ key: 'app-2-newer', exact: false });
    });

    test('loads no other snapshot whose key begins like the one that has gone', async () => {
      await save('key');
      await save('key-and-more');
      await service.evict('key');
      expect(await load('key')).toBe(false);
      await expectNothingLeft();
    });

    test('uploads nothing for a key that is there', async () => {
      await save('key');
      service.faults.clear();
      expect(await save('key')).toBe('already-there');
      expect(service.faults.requests.map((request) => request.endpoint)).toEqual([
        'GetCacheEntryDownloadURL',
      ]);
    });

    test('sees that another job has saved the key meanwhile', async () => {
      await save('by another job');
      const reservation = service.faults.hold('CreateCacheEntry');
      const saving = save('key');
      await reservation.reached;
      service.copyEntry('by another job', 'key');
      reservation.release();
      expect(await saving).toBe('already-there');
    });

    test('does not call a key saved that another job only has reserved', async () => {
      service.faults.next('FinalizeCacheEntryUpload', { kind: 'status', status: 400 });
      await expect(save('key')).rejects.toMatchObject(
        unavailable(/FinalizeCacheEntryUpload was answered 400/),
      );
      await expect(save('key')).rejects.toMatchObject(
        unavailable(/another job is saving this key/),
      );
      expect(await find('key')).toBeUndefined();
      await expectNothingLeft();
    });

    test('names a token that may only read, and uploads nothing', async () => {
      service.faults.readOnlyToken = true;
      await expect(save('key')).rejects.toMatchObject(unavailable(/may only read caches/));
      const endpoints = service.faults.requests.map((request) => request.endpoint);
      expect(endpoints).toEqual(['GetCacheEntryDownloadURL', 'CreateCacheEntry']);
      await expectNothingLeft();
    });

    test.each([
      { endpoint: 'CreateCacheEntry', status: 500, tries: 5 },
      { endpoint: 'CreateCacheEntry', status: 429, tries: 1 },
      { endpoint: 'upload', status: 403, tries: 1 },
      { endpoint: 'upload', status: 500, tries: 4 },
    ] as const)(
      'tells that $endpoint was answered $status',
      async ({ endpoint, status, tries }) => {
        service.faults.next(endpoint, { kind: 'status', status }, EVERY_TRY);
        await withShortPauses(() =>
          expect(save('key')).rejects.toMatchObject(
            unavailable(new RegExp(`${endpoint} was answered ${status}`)),
          ),
        );
        expect(service.faults.hits(endpoint, 'status')).toBe(tries);
        expect(service.entries()).toEqual([]);
        await expectNothingLeft();
      },
    );

    test('sees that the snapshot is there when only the last answer was lost', async () => {
      service.faults.next('FinalizeCacheEntryUpload', { kind: 'lost-answer' });
      expect(await save('key')).toBe('already-there');
      expect(service.faults.hits('FinalizeCacheEntryUpload', 'lost-answer')).toBe(1);
      expect(await load('key')).toBe(true);
    });

    test('waits no longer for its turn than until it is cancelled', async () => {
      const upload = service.faults.hold('upload');
      const first = save('first');
      await upload.reached;
      const controller = new AbortController();
      const second = expect(save('second', controller.signal)).rejects.toMatchObject({
        code: 'cancelled',
      });
      controller.abort();
      await second;
      upload.release();
      expect(await first).toBe('saved');
      expect(service.entries().map((entry) => entry.key)).toEqual(['first']);
    });

    test('leaves the folder to a cancelled client until that has ended', async () => {
      await save('key');
      const download = service.faults.hold('download');
      const controller = new AbortController();
      const cancelled = expect(load('key', controller.signal)).rejects.toMatchObject({
        code: 'cancelled',
      });
      await download.reached;
      controller.abort();
      await cancelled;
      await expectNothingLeft(); // should this process end now
      const next = load('key');
      await expectWorkspaceStays();
      download.release();
      expect(await next).toBe(true);
      expect(await readdir(job.workspaceDir)).toEqual([]);
    });

    test('leaves the folder to the one whose turn it is when cancelled while waiting', async () => {
      await save('key');
      const lookUp = service.faults.hold('GetCacheEntryDownloadURL');
      const first = load('key');
      await lookUp.reached;
      const controller = new AbortController();
      const second = expect(load('key', controller.signal)).rejects.toMatchObject({
        code: 'cancelled',
      });
      controller.abort();
      await second;
      await expectWorkspaceStays('.snapvol-cache');
      lookUp.release();
      expect(await first).toBe(true);
    });

    test('refuses an entry that is no flat bundle', async () => {
      const folder = join(job.workspaceDir, '.snapvol-cache');
      await mkdir(join(folder, 'sub-folder'), { recursive: true });
      await client.saveCache(['.snapvol-cache/*'], 'key');
      await expect(load('key')).rejects.toMatchObject({ code: 'snapshot-corrupt' });
      await expectNothingLeft();
    });

    test('saves and loads nothing that a killed run has left in its folder', async () => {
      const folder = join(job.workspaceDir, '.snapvol-cache');
      await mkdir(folder);
      await writeFile(join(folder, 'left-over'), '');
      expect(await save('key')).toBe('saved');
      await mkdir(folder);
      await writeFile(join(folder, 'left-over'), '');
      expect(await load('key')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
      expect(await readdir(job.workspaceDir)).toEqual([]);
    });

    test.each([
      [
        'the workspace is a symbolic link',
        async () => {
          const link = join(scratch.path, 'link');
          await symlink(job.workspaceDir, link);
          return link;
        },
      ],
      ['it works below the workspace', () => dirname(job.workspaceDir)],
    ])('saves and loads where %s, and an entry is the same for all', async (_, workspace) => {
      const given = await workspace();
      job.set('GITHUB_WORKSPACE', given);
      expect(await save('there')).toBe('saved');
      expect(await load('there')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
      expect(process.env['GITHUB_WORKSPACE']).toBe(given);
      expect(await readdir(job.workspaceDir)).toEqual([]);

      job.set('GITHUB_WORKSPACE', job.workspaceDir);
      target = await scratch.folder('elsewhere');
      expect(await load('there')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
    });

    test('says what is missing outside of an action', async () => {
      job.set('ACTIONS_RESULTS_URL', undefined);
      await expect(find('key')).rejects.toMatchObject(unavailable(/cannot be reached from here/));
      await expect(save('key')).rejects.toMatchObject(unavailable(/cannot be reached from here/));
    });

    test('says that there is no token, or that the mode of the run does not permit it', async () => {
      job.set('ACTIONS_CACHE_MODE', 'read');
      await expect(save('key')).rejects.toMatchObject(unavailable(/cache mode does not permit it/));
      job.set('ACTIONS_CACHE_MODE', 'write-only');
      await expect(find('key')).rejects.toMatchObject(unavailable(/cache mode does not permit it/));
      job.set('ACTIONS_CACHE_MODE', undefined);
      job.set('ACTIONS_RUNTIME_TOKEN', undefined);
      await expect(find('key')).rejects.toMatchObject(unavailable(/could not look up key/));
      expect(service.entries()).toEqual([]);
    });

    test.each(['a,b', 'k'.repeat(513)])(
      'refuses a key that the service cannot have',
      async (key) => {
        await expect(find(key)).rejects.toMatchObject(unavailable(/Key Validation Error/));
        await expect(save(key)).rejects.toMatchObject(unavailable(/Key Validation Error/));
      },
    );
  });
});
