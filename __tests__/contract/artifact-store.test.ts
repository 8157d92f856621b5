import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import client from '@actions/artifact';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import type { Log } from '../../src/log.ts';
import { decodeArtifactName, encodeArtifactName } from '../../src/stores/artifact-name.ts';
import { createArtifactStore } from '../../src/stores/artifact.ts';
import type { ReplaceableStore } from '../../src/stores/store.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { enterJob, withShortPauses, type Job } from '../support/results-service/job.ts';
import { contentsOf, createScratch, fill, type ScratchFolder } from '../support/store-bundles.ts';
import { oddKeys, testStoreContract } from '../support/store-contract.ts';

const live = new AbortController().signal;
const EVERY_TRY = 100;

let service: ResultsService;
let job: Job;

beforeAll(async () => {
  service = await startResultsService();
});

afterAll(async () => {
  await service.close();
});

const enter = async (): Promise<void> => {
  service.reset();
  job = await enterJob(service.env);
};

testStoreContract(
  'artifact',
  async () => {
    await enter();
    return {
      store: createArtifactStore({}),
      evict: (key) => service.removeArtifact(encodeArtifactName(key)),
      close: () => job.leave(),
    };
  },
  // The name is taken as soon as the first upload begins, so the second save fails before there is a snapshot.
  { listable: false, concurrentWriters: false },
);

describe('an artifact name', () => {
  const allowed = /^[^":<>|*?\r\n\\/]+$/;

  test.each([...oddKeys, 'line\r\nbreak', '%', '%2F', '%%zz', 'a|b?c*d'])(
    'of an odd key is permitted and gives the key back (%#)',
    (key) => {
      const name = encodeArtifactName(key);
      expect(name).toMatch(allowed);
      expect(decodeArtifactName(name)).toBe(key);
      // The client decodes it as part of a URL and fails on a stray percent sign.
      expect(() => decodeURIComponent(name)).not.toThrow();
    },
  );

  test('is the key itself where that is permitted', () => {
    expect(encodeArtifactName('snapvol-postgres-17_x64')).toBe('snapvol-postgres-17_x64');
  });

  test('that we did not make is no key', () => {
    for (const name of ['100%', 'a%2fb', 'a%41', '%zz']) {
      expect(decodeArtifactName(name)).toBeUndefined();
    }
  });
});

describe('when the service misbehaves', () => {
  let scratch: ScratchFolder;
  let store: ReplaceableStore;
  let warnings: string[];
  let bundle: string;
  let target: string;

  beforeEach(async () => {
    await enter();
    warnings = [];
    store = createArtifactStore({ log: logInto(warnings) });
    scratch = await createScratch();
    bundle = await scratch.folder('bundle');
    await fill(bundle, 'faults', { 'manifest.json': 300, 'data.tar.zst': 300_000 });
    target = await scratch.folder('target');
  });

  afterEach(async () => {
    await job.leave();
    await scratch.remove();
  });

  const find = (primary: string, ...prefixes: string[]) => store.find({ primary, prefixes }, live);
  const load = (key: string, signal = live) => store.load({ key, exact: true }, target, signal);
  const save = (key: string, signal = live) => store.save(key, bundle, signal);
  const unavailable = (reason: RegExp) => ({
    code: 'store-unavailable',
    message: expect.stringMatching(reason),
  });
  const expectNothingLeft = async (): Promise<void> => {
    expect(await readdir(target)).toEqual([]);
    // The scratch folder of a download stands beside the target.
    expect(await readdir(dirname(target))).toHaveLength(2);
  };

  test.each([
    { status: 500, tries: 5 },
    { status: 429, tries: 5 },
    { status: 403, tries: 1 },
  ])('calls a service that answers $status unavailable, not a miss', async ({ status, tries }) => {
    await save('key');
    service.faults.next('ListArtifacts', { kind: 'status', status }, EVERY_TRY);
    const reason = unavailable(new RegExp(`ListArtifacts was answered ${status}`));
    await withShortPauses(() => expect(find('key')).rejects.toMatchObject(reason));
    expect(service.faults.hits('ListArtifacts', 'status')).toBe(tries);
    await withShortPauses(() => expect(load('key')).rejects.toMatchObject(reason));
    await expectNothingLeft();
  });

  test('finds the snapshot when only the first try fails', async () => {
    await save('key');
    service.faults.next('ListArtifacts', { kind: 'status', status: 503 });
    expect(await withShortPauses(() => find('key'))).toEqual({ key: 'key', exact: true });
    expect(service.faults.hits('ListArtifacts', 'status')).toBe(1);
  });

  test('tells a broken connection from a miss, while listing too', async () => {
    await save('key');
    service.faults.next('ListArtifacts', { kind: 'reset' });
    await expect(find('key')).rejects.toMatchObject(unavailable(/ECONNRESET/));
    const lookUp = service.faults.hold('ListArtifacts');
    service.faults.next('ListArtifacts', { kind: 'reset' });
    lookUp.release();
    await expect(find('other', 'k')).rejects.toMatchObject(unavailable(/could not list/));
    expect(service.faults.hits('ListArtifacts', 'reset')).toBe(2);
  });

  test('loads nothing when the artifact goes between its look-up and its download', async () => {
    await save('key');
    const url = service.faults.hold('GetSignedArtifactURL');
    const loading = load('key');
    await url.reached;
    await service.removeArtifact('key');
    url.release();
    expect(await loading).toBe(false);
    const first = service.faults.hold('ListArtifacts');
    await save('key');
    const again = load('key');
    await first.reached;
    service.faults.next('GetSignedArtifactURL', { kind: 'status', status: 404 });
    first.release();
    // Still listed, but without a URL: that is no absence but a failure.
    await expect(again).rejects.toMatchObject(unavailable(/GetSignedArtifactURL was answered 404/));
    await expectNothingLeft();
  });

  test.each([
    ['a connection that ends early', { kind: 'cut', afterBytes: 1000 }, /broke off/],
    ['a body that is too short', { kind: 'shorten', toBytes: 100_000 }, /could not load key: /],
    ['a failing blob service', { kind: 'status', status: 500 }, /download was answered 500/],
    ['a blob service that ends connections', { kind: 'reset' }, /ECONNRESET/],
  ] as const)('delivers nothing after %s, and all once it is over', async (_, fault, reason) => {
    await save('key');
    service.faults.next('download', fault, EVERY_TRY);
    await withShortPauses(() => expect(load('key')).rejects.toMatchObject(unavailable(reason)));
    expect(service.faults.hits('download', fault.kind)).toBe(5);
    await expectNothingLeft();
    service.faults.clear();
    expect(await load('key')).toBe(true);
    expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
  });

  test('delivers the whole bundle when only the first download breaks', async () => {
    await save('key');
    service.faults.next('download', { kind: 'shorten', toBytes: 100_000 });
    expect(await withShortPauses(() => load('key'))).toBe(true);
    expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
    expect(service.faults.hits('download', 'shorten')).toBe(1);
  });

  test('warns of one wrong bit and leaves it to the reader to refuse the file', async () => {
    await save('key');
    service.faults.next('download', { kind: 'flip', offset: 150_000 });
    expect(await load('key')).toBe(true);
    expect(service.faults.hits('download', 'flip')).toBe(1);
    const [delivered, saved] = [await contentsOf(target), await contentsOf(bundle)];
    expect(Object.keys(delivered)).toEqual(Object.keys(saved));
    expect(delivered).not.toEqual(saved);
    expect(warnings).toEqual([expect.stringMatching(/artifact key arrived with other bytes/)]);
  });

  test('uploads nothing for a key that is there', async () => {
    await save('key');
    service.faults.clear();
    expect(await save('key')).toBe('already-there');
    expect(service.faults.requests.map((request) => request.endpoint)).toEqual([
      'CreateArtifact',
      'ListArtifacts',
    ]);
    expect(warnings).toEqual([]);
  });

  test('does not call a key saved that another job only has begun to upload', async () => {
    const upload = service.faults.hold('upload');
    const first = save('key');
    await upload.reached;
    await expect(save('key')).rejects.toMatchObject(unavailable(/another job is saving this key/));
    expect(await find('key')).toBeUndefined();
    upload.release();
    expect(await first).toBe('saved');
    expect(await save('key')).toBe('already-there');
  });

  test.each([
    { endpoint: 'CreateArtifact', status: 500, tries: 5 },
    { endpoint: 'CreateArtifact', status: 429, tries: 5 },
    { endpoint: 'upload', status: 403, tries: 1 },
    { endpoint: 'upload', status: 500, tries: 4 },
    { endpoint: 'FinalizeArtifact', status: 400, tries: 1 },
  ] as const)('tells that $endpoint was answered $status', async ({ endpoint, status, tries }) => {
    service.faults.next(endpoint, { kind: 'status', status }, EVERY_TRY);
    await withShortPauses(() =>
      expect(save('key')).rejects.toMatchObject(
        unavailable(new RegExp(`${endpoint} was answered ${status}`)),
      ),
    );
    expect(service.faults.hits(endpoint, 'status')).toBe(tries);
    expect(service.artifacts()).toEqual([]);
  });

  test('can save after the service has failed', async () => {
    service.faults.next('CreateArtifact', { kind: 'reset' });
    await expect(save('key')).rejects.toMatchObject(unavailable(/ECONNRESET/));
    expect(await save('key')).toBe('saved');
  });

  test('sees that the snapshot is there when only the last answer was lost', async () => {
    service.faults.next('FinalizeArtifact', { kind: 'lost-answer' });
    expect(await save('key')).toBe('already-there');
    expect(service.faults.hits('FinalizeArtifact', 'lost-answer')).toBe(1);
    expect(await load('key')).toBe(true);
  });

  test('names a token that may not write, and keeps the error that caused it', async () => {
    service.faults.readOnlyToken = true;
    await expect(save('key')).rejects.toMatchObject({
      ...unavailable(/CreateArtifact was answered 403 Forbidden/),
      cause: expect.objectContaining({ message: expect.any(String) }),
    });
    expect(service.artifacts()).toEqual([]);
  });

  describe('while a snapshot is replaced', () => {
    let next: string;
    const replace = () => store.replace('key', next, live);
    const requests = () => service.faults.requests.map(({ endpoint }) => endpoint);

    beforeEach(async () => {
      next = await scratch.folder('next');
      await fill(next, 'next', { 'manifest.json': 200, 'data.tar.zst': 1000 });
      await save('key');
      service.faults.clear();
    });

    test('removes the old one first, as the service cannot swap', async () => {
      await replace();
      expect(requests().filter((endpoint) => endpoint !== 'upload')).toEqual([
        'ListArtifacts',
        'DeleteArtifact',
        'CreateArtifact',
        'FinalizeArtifact',
      ]);
      expect(service.artifacts()).toHaveLength(1);
    });

    test.each([
      ['ListArtifacts', 403],
      ['DeleteArtifact', 403],
    ] as const)('keeps it when %s is answered %d', async (endpoint, status) => {
      service.faults.next(endpoint, { kind: 'status', status });
      await expect(replace()).rejects.toMatchObject(
        unavailable(new RegExp(`could not remove the old key: ${endpoint} was answered ${status}`)),
      );
      expect(await load('key')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
    });

    test('has none when the upload fails, and the new one after another try', async () => {
      service.faults.next('upload', { kind: 'status', status: 403 });
      await expect(replace()).rejects.toMatchObject(unavailable(/could not save key: upload was/));
      expect(await find('key')).toBeUndefined();
      // The name is taken by what broke off, as GitHub has it: a re-run, or another key, is the way out.
      await expect(replace()).rejects.toMatchObject(unavailable(/in this run broke off/));
    });

    test('does not mind that it was gone already, or that the answer to that was lost', async () => {
      const removal = service.faults.hold('DeleteArtifact');
      const replacing = replace();
      await removal.reached;
      await service.removeArtifact('key');
      removal.release();
      await replacing;
      service.faults.next('FinalizeArtifact', { kind: 'lost-answer' });
      await replace();
      expect(await load('key')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(next));
    });

    test('replaces also what another job saves in between', async () => {
      const creation = service.faults.hold('CreateArtifact');
      const replacing = replace();
      await creation.reached;
      expect(await save('key')).toBe('saved');
      creation.release();
      await replacing;
      expect(await load('key')).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(next));
    });
  });

  test.each([
    { during: 'find', endpoint: 'ListArtifacts' },
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
    expect(await save('next')).toBe('saved');
    expect(await load('next')).toBe(true);
    expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
  });

  test('leaves its folder to a cancelled client until that has ended', async () => {
    await save('key');
    const folders = async (): Promise<number> => (await readdir(scratch.path)).length;
    const before = await folders();
    const download = service.faults.hold('download');
    const controller = new AbortController();
    const cancelled = expect(load('key', controller.signal)).rejects.toMatchObject({
      code: 'cancelled',
    });
    await download.reached;
    controller.abort();
    await cancelled;
    for (let turn = 0; turn < 100; turn += 1) expect(await folders()).toBe(before + 1);
    download.release();
    while ((await folders()) > before) await nextTurn();
    expect(await readdir(target)).toEqual([]);
  });

  test('keeps a snapshot as long as asked, and stores it without compressing again', async () => {
    expect(await createArtifactStore({ retentionDays: 3 }).save('key', bundle, live)).toBe('saved');
    const [artifact] = service.artifacts();
    const days = (Date.parse(artifact?.expiresAt ?? '') - Date.now()) / (24 * 60 * 60 * 1000);
    expect(Math.round(days)).toBe(3);
    expect(artifact?.sizeBytes).toBeGreaterThan(300_300);
  });

  test('takes no artifact of others for a snapshot whose name cannot be ours', async () => {
    await client.uploadArtifact('app-50%', [join(bundle, 'manifest.json')], bundle);
    expect(await find('none', 'app-')).toBeUndefined();
    await save('app-50%'); // app-50%25 as a name
    expect(await find('none', 'app-')).toEqual({ key: 'app-50%', exact: false });
    expect(service.artifacts().map((artifact) => artifact.name)).toEqual(['app-50%', 'app-50%25']);
  });

  test('says what is missing outside of an action', async () => {
    job.set('ACTIONS_RUNTIME_TOKEN', undefined);
    await expect(find('key')).rejects.toMatchObject(unavailable(/ACTIONS_RUNTIME_TOKEN/));
    job.set('GITHUB_SERVER_URL', 'https://github.example.com');
    await expect(save('key')).rejects.toMatchObject(unavailable(/GHES/));
    expect(service.faults.requests).toEqual([]);
  });
});

function logInto(warnings: string[]): Log {
  const ignore = (): void => undefined;
  return {
    debug: ignore,
    info: ignore,
    warn: (message) => {
      warnings.push(message);
    },
    group: (_title, work) => work(),
    progress: ignore,
    mask: ignore,
  };
}
