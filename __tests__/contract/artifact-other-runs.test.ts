import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import type { Log } from '../../src/log.ts';
import { encodeArtifactName } from '../../src/stores/artifact-name.ts';
import { createArtifactStore } from '../../src/stores/artifact.ts';
import { parseStore } from '../../src/stores/location.ts';
import type { ReplaceableStore, SnapshotStore } from '../../src/stores/store.ts';
import {
  REPOSITORY,
  startResultsService,
  type Endpoint,
  type ResultsService,
  type WorkflowRun,
} from '../support/results-service/index.ts';
import { enterJob, withShortPauses, type Job } from '../support/results-service/job.ts';
import { contentsOf, createScratch, type ScratchFolder } from '../support/store-bundles.ts';
import { testStoreContract } from '../support/store-contract.ts';

// Nothing here may import the clients at once: they read GITHUB_API_URL when they are loaded.

const live = new AbortController().signal;
const EVERY_TRY = 100;

let service: ResultsService;
let job: Job;
let lines: string[];

beforeAll(async () => {
  service = await startResultsService();
});

afterAll(async () => {
  await service.close();
});

async function enter(): Promise<void> {
  service.reset();
  lines = [];
  job = await enterJob(service.env);
}

/** From now on this process is a step of `run`. */
function be(run: WorkflowRun): void {
  for (const [name, value] of Object.entries(run.env)) job.set(name, value);
}

/** A store of the run that this process is in. */
function open(text: string): ReplaceableStore {
  const location = parseStore(text);
  if (location.kind !== 'artifact') throw new Error(`${text} is not a store of artifacts`);
  return createArtifactStore({
    ...location,
    repository: process.env['GITHUB_REPOSITORY'],
    runId: process.env['GITHUB_RUN_ID'],
    token: service.restToken,
    log: logInto(lines),
  });
}

describe.each(['run', 'latest'])('what one run has saved and another reads by %s', (kind) => {
  testStoreContract(
    `artifact:${kind}`,
    async () => {
      await enter();
      const writer = service.startRun();
      service.conclude(writer, 'success');
      const reader = service.startRun();
      be(reader);
      const store = open(kind === 'run' ? `artifact:run=${writer.id}` : 'artifact:latest@main');
      const save: SnapshotStore['save'] = async (...args) => {
        be(writer);
        try {
          return await open('artifact').save(...args);
        } finally {
          be(reader);
        }
      };
      const { name } = store;
      return {
        // Without `replace`, which is of the reader's own run.
        store: {
          name,
          find: (...args) => store.find(...args),
          load: (...args) => store.load(...args),
          save,
        },
        evict: (key) => service.removeArtifact(encodeArtifactName(key), writer),
        close: () => job.leave(),
      };
    },
    { listable: false, replaceable: false, concurrentWriters: false },
  );
});

describe('other runs', () => {
  let scratch: ScratchFolder;
  let target: string;

  beforeEach(async () => {
    await enter();
    scratch = await createScratch();
    target = await scratch.folder('target');
  });

  afterEach(async () => {
    await job.leave();
    await scratch.remove();
  });

  type Outcome = Parameters<ResultsService['conclude']>[1];
  type Saved = WorkflowRun & { readonly contents: Readonly<Record<string, string>> };

  /** A run that has saved these keys, in this order, and has ended. */
  async function pastRun(
    keys: readonly string[],
    options: Parameters<ResultsService['startRun']>[0] = {},
    conclusion: Outcome | 'at work' = 'success',
  ): Promise<Saved> {
    const run = service.startRun(options);
    be(run);
    let contents = {};
    for (const key of keys) {
      const bundle = await scratch.bundle(`${run.id} ${key}`);
      expect(await open('artifact').save(key, bundle, live)).toBe('saved');
      contents = await contentsOf(bundle);
    }
    if (conclusion !== 'at work') service.conclude(run, conclusion);
    return { ...run, contents };
  }

  /** This process is in a new run, and nothing is on record yet. */
  function today(): WorkflowRun {
    const run = service.startRun();
    be(run);
    service.faults.clear();
    lines.length = 0;
    return run;
  }

  const find = (store: string, primary: string, ...prefixes: string[]) =>
    open(store).find({ primary, prefixes }, live);
  const load = (store: string, run: WorkflowRun, key: string, signal = live) =>
    open(store).load({ key, exact: true, source: String(run.id) }, target, signal);
  const sources = (run: WorkflowRun, key: string) => ({ key, exact: true, source: String(run.id) });
  const asked = (): Endpoint[] => service.faults.requests.map(({ endpoint }) => endpoint);
  const expectNothingLeft = async (): Promise<void> => {
    expect(await readdir(target)).toEqual([]);
    expect(
      (await readdir(dirname(target))).filter((name) => name.startsWith('snapvol-artifact-')),
    ).toEqual([]);
  };
  const unavailable = (reason: RegExp, hint?: RegExp) => ({
    code: 'store-unavailable',
    message: expect.stringMatching(reason),
    ...(hint && { hint: expect.stringMatching(hint) }),
  });

  describe('on a branch', () => {
    test('give the newest successful one that has the snapshot, and it loads', async () => {
      await pastRun(['app-1']);
      const newest = await pastRun(['app-1']);
      await pastRun(['app-2']);
      await pastRun(['app-1'], {}, 'failure');
      await pastRun(['app-1'], {}, 'cancelled');
      await pastRun(['app-1'], {}, 'at work');
      await pastRun(['app-1'], { branch: 'feature' });
      today();
      const found = await find('artifact:latest@main', 'app-1', 'app-');
      expect(found).toEqual(sources(newest, 'app-1'));
      expect(lines).toContain(`info run ${newest.id} has app-1`);
      expect(await load('artifact:latest@main', newest, 'app-1')).toBe(true);
      expect(await contentsOf(target)).toEqual(newest.contents);
      expect((await readdir(scratch.path)).join()).not.toContain('snapvol-artifact-');
    });

    test('never are those of forks, whatever their branches are called', async () => {
      const own = await pastRun(['app-1']);
      const fork = await pastRun(['app-1', 'app-evil'], { fromFork: true });
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(own, 'app-1'));
      expect(await find('artifact:latest@main', 'app-evil')).toBeUndefined();
      expect(await find('artifact:latest@main', 'none', 'app-e')).toBeUndefined();
      // Asked for by its number, it is somebody's decision.
      expect(await find(`artifact:run=${fork.id}`, 'app-evil')).toEqual(sources(fork, 'app-evil'));
    });

    test('come after the run at work, which keeps what is saved', async () => {
      const past = await pastRun(['app-1']);
      const run = today();
      const bundle = await scratch.bundle('today');
      const store = open('artifact:latest@main');
      expect(await store.save('app-1', bundle, live)).toBe('saved');
      expect(await find('artifact:latest@main', 'app-1')).toEqual({ key: 'app-1', exact: true });
      expect(await store.load({ key: 'app-1', exact: true }, target, live)).toBe(true);
      expect(await contentsOf(target)).toEqual(await contentsOf(bundle));
      service.conclude(run, 'success');
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(run, 'app-1'));
      expect(await find(`artifact:run=${past.id}`, 'app-1')).toEqual(sources(past, 'app-1'));
    });

    test('do not include the run at work once more', async () => {
      const run = today();
      // Another attempt of a run that was successful before.
      service.conclude(run, 'success');
      run.artifacts.add('app-1');
      expect(await find('artifact:latest@main', 'none', 'app-')).toEqual({
        key: 'app-1',
        exact: false,
      });
      run.artifacts.remove('app-1');
      service.faults.clear();
      expect(await find('artifact:latest@main', 'none', 'app-')).toBeUndefined();
      expect(asked()).toEqual(['ListArtifacts', 'rest:list-runs', 'ListArtifacts']);
    });

    test('may be those of one workflow only', async () => {
      const nightly = await pastRun(['app-1'], { workflow: 'nightly.yml' });
      const ci = await pastRun(['app-1'], { workflow: 'ci.yml' });
      const slashes = await pastRun(['app-1'], { branch: 'release/1.x', workflow: 'nightly.yml' });
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(ci, 'app-1'));
      for (const [store, run] of [
        ['artifact:latest@main/nightly.yml', nightly],
        ['artifact:latest@release/1.x/nightly.yml', slashes],
        ['artifact:latest@release/1.x', slashes],
      ] as const) {
        expect(await find(store, 'app-1')).toEqual(sources(run, 'app-1'));
      }
      await expect(find('artifact:latest@main/night.yml', 'app-1')).rejects.toMatchObject(
        unavailable(
          /could not list the runs on main of acme\/shop: 404 Not Found: there is no workflow night\.yml in acme\/shop, or the token may not see it/,
          /actions: read/,
        ),
      );
    });

    test('are passed over where the snapshot has expired', async () => {
      const old = await pastRun(['app-1', 'app-2']);
      const newer = await pastRun(['app-1', 'app-2']);
      await service.expireArtifact(newer, 'app-1');
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(old, 'app-1'));
      await service.expireArtifact(newer, 'app-2');
      expect(await find('artifact:latest@main', 'none', 'app-2')).toMatchObject({
        source: String(old.id),
      });
      expect(await load('artifact:latest@main', newer, 'app-1')).toBe(false);
    });

    test('are searched by prefix: this run, then the newest one and the newest in it', async () => {
      await pastRun(['a-9', 'b-9']);
      const newer = await pastRun(['a-2', 'a-3', 'a-1']);
      await pastRun(['c-1']);
      const run = today();
      const store = 'artifact:latest@main';
      const base = (key: string, from: WorkflowRun) => ({
        key,
        exact: false,
        source: String(from.id),
      });
      expect(await find(store, 'none', 'x-', 'a-', 'c-')).toEqual(base('a-1', newer));
      expect(await find(store, 'none', 'a-9', 'a-')).toMatchObject({ key: 'a-9' });
      run.artifacts.add('a-0');
      expect(await find(store, 'none', 'x-', 'a-')).toEqual({ key: 'a-0', exact: false });
      expect(await find(store, 'a-9', 'a-')).toMatchObject({ key: 'a-9', exact: true });
    });

    test('cost two requests when none has the key, however many they are', async () => {
      for (let count = 0; count < 30; count += 1) service.conclude(service.startRun(), 'success');
      today();
      expect(await find('artifact:latest@main', 'app-1')).toBeUndefined();
      expect(asked()).toEqual(['ListArtifacts', 'rest:list-runs', 'rest:list-artifacts']);
    });

    test('are looked through up to fifty, those of forks not counted', async () => {
      const add = (count: number, fromFork?: true): void => {
        for (let at = 0; at < count; at += 1) {
          service.conclude(service.startRun(fromFork && { fromFork }), 'success');
        }
      };
      const holder = await pastRun(['app-1']);
      add(49);
      add(230, true);
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(holder, 'app-1'));
      // Fifty and more are on the third page only.
      expect(asked().filter((endpoint) => endpoint === 'rest:list-runs')).toHaveLength(3);
      expect(await find('artifact:latest@main', 'none', 'app-')).toMatchObject({ key: 'app-1' });
      add(1);
      expect(await find('artifact:latest@main', 'app-1')).toBeUndefined();
      expect(await find('artifact:latest@main', 'none', 'app-')).toBeUndefined();
    });

    test('are asked one by one where more artifacts have the name than can be listed', async () => {
      const holder = await pastRun(['app-1']);
      service.conclude(service.startRun(), 'success');
      const others = service.startRun({ branch: 'feature' });
      for (let count = 0; count < 600; count += 1) others.artifacts.add('app-1');
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(holder, 'app-1'));
      expect(asked().filter((endpoint) => endpoint === 'rest:list-run-artifacts')).toHaveLength(2);
    });

    test('are found on every page of the artifacts of one name', async () => {
      const holder = await pastRun(['app-1']);
      const others = service.startRun({ branch: 'feature' });
      for (let count = 0; count < 250; count += 1) others.artifacts.add('app-1');
      today();
      expect(await find('artifact:latest@main', 'app-1')).toEqual(sources(holder, 'app-1'));
      expect(asked()).not.toContain('rest:list-run-artifacts');
    });
  });

  describe('by number', () => {
    test('is that run alone, in whatever state', async () => {
      const past = await pastRun(['app-1', 'app-2'], { branch: 'feature' }, 'failure');
      await pastRun(['app-3']);
      const run = today();
      run.artifacts.add('app-4');
      const store = `artifact:run=${past.id}`;
      expect(await find(store, 'app-1')).toEqual(sources(past, 'app-1'));
      expect(await find(store, 'none', 'app-')).toMatchObject({ key: 'app-2', exact: false });
      expect(await find(store, 'app-3')).toBeUndefined();
      expect(await find(store, 'app-4')).toBeUndefined();
      expect(asked()).not.toContain('ListArtifacts');
    });

    test('takes nothing in: what is saved goes to the run at work', async () => {
      const past = await pastRun(['app-1']);
      const run = today();
      const bundle = await scratch.bundle('today');
      expect(await open(`artifact:run=${past.id}`).save('app-1', bundle, live)).toBe('saved');
      expect(run.artifacts.artifacts().map(({ name }) => name)).toEqual(['app-1']);
      expect(past.artifacts.artifacts()).toHaveLength(1);
    });

    test('keeps what it has when the key is replaced', async () => {
      const past = await pastRun(['app-1']);
      const run = today();
      const bundle = await scratch.bundle('today');
      await open(`artifact:run=${past.id}`).replace('app-1', bundle, live);
      await open('artifact:latest@main').replace('app-1', bundle, live);
      expect(run.artifacts.artifacts()).toHaveLength(1);
      expect(await load(`artifact:run=${past.id}`, past, 'app-1')).toBe(true);
      expect(await contentsOf(target)).toEqual(past.contents);
    });

    test('must be a run that is there, or the look-up fails and does not miss', async () => {
      const past = await pastRun(['app-1']);
      today();
      service.removeRun(past);
      const store = `artifact:run=${past.id}`;
      await expect(find(store, 'app-1', 'app-')).rejects.toMatchObject(
        unavailable(/artifacts of run \d+ of acme\/shop: 404 Not Found: there is no such run, or/),
      );
      expect(await load(store, past, 'app-1')).toBe(false);
    });

    test('needs no run at work', async () => {
      const past = await pastRun(['app-1']);
      service.faults.clear();
      for (const name of Object.keys(service.env)) {
        if (!/^GITHUB_(API_URL|REPOSITORY)$/.test(name)) job.set(name, undefined);
      }
      for (const store of [`artifact:run=${past.id}`, 'artifact:latest@main']) {
        expect(await find(store, 'app-1')).toEqual(sources(past, 'app-1'));
        target = await scratch.folder('target');
        expect(await load(store, past, 'app-1')).toBe(true);
        expect(await contentsOf(target)).toEqual(past.contents);
      }
    });
  });

  describe('when the API misbehaves', () => {
    const store = 'artifact:latest@main';
    let past: Saved;

    beforeEach(async () => {
      past = await pastRun(['app-1']);
      today();
    });

    test.each([
      ['401', { status: 401 }, /401 Unauthorized: the token is not valid/, /"token"/],
      [
        '403',
        { status: 403 },
        /403 Forbidden: the token may not read/,
        /permissions: actions: read/,
      ],
      ['404', { status: 404 }, /404 Not Found: there is no repository acme\/shop/, /actions: read/],
      [
        '429 with a time to wait',
        { status: 429, retryAfterSeconds: 61 },
        /429 Too Many Requests: the rate limit is reached/,
        /Try again in 61 s/,
      ],
      ['429 without', { status: 429 }, /the rate limit is reached/, /Try again later/],
      [
        '403 with a time to wait',
        { status: 403, retryAfterSeconds: 60 },
        /403 Forbidden: the rate limit is reached/,
        /Try again in 60 s/,
      ],
      [
        '403 with nothing left of the hour',
        {
          status: 403,
          headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1893456000' },
        },
        /403 Forbidden: the rate limit is reached/,
        /Try again after 2030-01-01T00:00:00\.000Z/,
      ],
      [
        '403 with nonsense about a limit',
        { status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'soon' } },
        /the rate limit is reached/,
        /Try again later/,
      ],
    ] as const)('tells %s, at once', async (_, fault, reason, hint) => {
      for (const endpoint of ['rest:list-runs', 'rest:list-artifacts'] as const) {
        service.faults.clear();
        service.faults.next(endpoint, { kind: 'status', ...fault }, EVERY_TRY);
        const error: unknown = await find(store, 'app-1').catch((caught: unknown) => caught);
        expect(error).toMatchObject({
          ...unavailable(reason, hint),
          cause: expect.objectContaining({ status: fault.status }),
          retryAfterMs: 'retryAfterSeconds' in fault ? fault.retryAfterSeconds * 1000 : undefined,
        });
        expect(String(error)).not.toContain(service.restToken);
        expect(service.faults.hits(endpoint, 'status')).toBe(1);
      }
    });

    test.each([
      ['that fails', { kind: 'status', status: 502 }, /it was answered 502 Bad Gateway/],
      ['that ends connections', { kind: 'reset' }, /UND_ERR_SOCKET|ECONNRESET/],
      ['that sends half a list', { kind: 'shorten', toBytes: 40 }, /the answer is damaged/],
      ['that sends an empty answer', { kind: 'shorten', toBytes: 0 }, /the answer is damaged/],
    ] as const)('calls an API %s unavailable, for now', async (_, fault, reason) => {
      for (const endpoint of ['rest:list-runs', 'rest:list-artifacts'] as const) {
        service.faults.next(endpoint, fault);
        await expect(find(store, 'app-1')).rejects.toMatchObject({
          ...unavailable(reason),
          retryAfterMs: 0,
        });
        expect(service.faults.hits(endpoint, fault.kind)).toBe(1);
      }
      expect(await find(store, 'app-1')).toEqual(sources(past, 'app-1'));
    });

    test('does not wait for an answer for ever', async () => {
      const hold = service.faults.hold('rest:list-runs');
      await withShortPauses(() =>
        expect(find(store, 'app-1')).rejects.toMatchObject(unavailable(/no answer within 30 s/)),
      );
      hold.release();
    });

    test.each([0, 1, 1_000_000])('does not believe that %d are all', async (count) => {
      for (let at = 0; at < 30; at += 1) service.conclude(service.startRun(), 'success');
      for (const endpoint of [
        'rest:list-runs',
        'rest:list-run-artifacts',
        'rest:list-artifacts',
      ] as const)
        service.faults.next(endpoint, { kind: 'total', count }, EVERY_TRY);
      expect(await find(store, 'app-1')).toEqual(sources(past, 'app-1'));
      expect(await find(store, 'none', 'app-')).toMatchObject({ key: 'app-1' });
    });

    test('passes over a run that goes between the list and its artifacts', async () => {
      const newer = await pastRun(['app-2']);
      today();
      const listing = service.faults.hold('rest:list-run-artifacts');
      const finding = find(store, 'none', 'app-');
      await listing.reached;
      service.removeRun(newer);
      listing.release();
      expect(await finding).toMatchObject({ key: 'app-1', source: String(past.id) });
    });

    test('loads nothing from a run that has gone since the look-up', async () => {
      expect(await find(store, 'app-1')).toEqual(sources(past, 'app-1'));
      service.removeRun(past);
      expect(await load(store, past, 'app-1')).toBe(false);
      await expectNothingLeft();
    });

    test('loads nothing when the artifact goes right before its download', async () => {
      const download = service.faults.hold('rest:download-artifact');
      const loading = load(store, past, 'app-1');
      await download.reached;
      await service.expireArtifact(past, 'app-1');
      download.release();
      expect(await loading).toBe(false);
      await expectNothingLeft();
    });

    test('tells a failing download from one that has gone', async () => {
      service.faults.next('rest:download-artifact', { kind: 'status', status: 403 });
      await expect(load(store, past, 'app-1')).rejects.toMatchObject(
        unavailable(/could not load app-1 from run \d+: 403 Forbidden/, /actions: read/),
      );
      service.faults.next('rest:download-artifact', { kind: 'status', status: 404 });
      await expect(load(store, past, 'app-1')).rejects.toMatchObject(
        unavailable(/404 Not Found: there is no such artifact/),
      );
      service.faults.next('rest:download-artifact', { kind: 'status', status: 500 });
      await expect(load(store, past, 'app-1')).rejects.toMatchObject({
        ...unavailable(/it was answered 500/),
        retryAfterMs: 0,
      });
      await expectNothingLeft();
      expect(await load(store, past, 'app-1')).toBe(true);
      expect(await contentsOf(target)).toEqual(past.contents);
    });

    test('delivers nothing of bytes that do not come, and all once they do', async () => {
      service.faults.next('download', { kind: 'cut', afterBytes: 1000 }, EVERY_TRY);
      await withShortPauses(() =>
        expect(load(store, past, 'app-1')).rejects.toMatchObject(unavailable(/broke off/)),
      );
      expect(service.faults.hits('download', 'cut')).toBe(5);
      await expectNothingLeft();
      service.faults.clear();
      expect(await load(store, past, 'app-1')).toBe(true);
      expect(await contentsOf(target)).toEqual(past.contents);
    });

    test.each(['rest:list-runs', 'rest:list-artifacts', 'rest:list-run-artifacts'] as const)(
      'stops at once when cancelled during %s',
      async (endpoint) => {
        const request = service.faults.hold(endpoint);
        const controller = new AbortController();
        const finding = expect(
          open(store).find({ primary: 'none', prefixes: ['app-'] }, controller.signal),
        ).rejects.toMatchObject({ code: 'cancelled' });
        await request.reached;
        controller.abort();
        await finding; // while the service still holds the request
        request.release();
        expect(await find(store, 'none', 'app-')).toMatchObject({ key: 'app-1' });
      },
    );

    test.each(['rest:list-run-artifacts', 'rest:download-artifact', 'download'] as const)(
      'stops a load at once when cancelled during %s',
      async (endpoint) => {
        const request = service.faults.hold(endpoint);
        const controller = new AbortController();
        const loading = expect(load(store, past, 'app-1', controller.signal)).rejects.toMatchObject(
          { code: 'cancelled' },
        );
        await request.reached;
        controller.abort();
        await loading;
        expect(await readdir(target)).toEqual([]);
        request.release();
        expect(await load(store, past, 'app-1')).toBe(true);
      },
    );
  });

  test('are not read without a repository and a token', () => {
    const { from } = { from: { kind: 'run', runId: 5 } } as const;
    const { restToken: token } = service;
    for (const repository of [undefined, '', 'shop', 'acme/', 'acme/shop/x']) {
      expect(() => createArtifactStore({ from, repository, token })).toThrow(
        expect.objectContaining({
          code: 'invalid-settings',
          hint: expect.stringContaining('GITHUB_REPOSITORY'),
        }),
      );
    }
    expect(() => createArtifactStore({ from, repository: REPOSITORY })).toThrow(
      expect.objectContaining({
        code: 'invalid-settings',
        message: expect.stringContaining('artifact:run=5 needs a token'),
      }),
    );
  });

  test('are never told the token to anybody who reads along', async () => {
    const past = await pastRun(['app-1']);
    today();
    await find('artifact:latest@main', 'app-1');
    await load('artifact:latest@main', past, 'app-1');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.join('\n')).not.toContain(service.restToken);
  });
});

function logInto(lines: string[]): Log {
  const line = (level: string) => (message: string) => {
    lines.push(`${level} ${message}`);
  };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    group: (_title, work) => work(),
    progress: () => undefined,
    mask: () => undefined,
  };
}
