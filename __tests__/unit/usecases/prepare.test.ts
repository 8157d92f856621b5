import { readdir } from 'node:fs/promises';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import type { ContainerRuntime, ImageFacts } from '../../../src/runtime/runtime.ts';
import type { RawInputs } from '../../../src/settings.ts';
import type { StoreTools } from '../../../src/usecases/context.ts';
import { measurePhases } from '../../../src/usecases/phases.ts';
import { makePlan } from '../../../src/usecases/plan.ts';
import { prepare } from '../../../src/usecases/prepare.ts';
import { makeImage, postgres18Image } from '../../support/image-facts.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { createRecordingLog } from '../../support/recording-log.ts';
import { makeSettings } from '../../support/settings.ts';
import { createScratch, type ScratchFolder } from '../../support/store-bundles.ts';
import { storeSnapshot } from '../../support/store-snapshots.ts';

let scratch: ScratchFolder;
beforeEach(async () => {
  scratch = await createScratch();
});
afterEach(() => scratch.remove());

const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
const who = { owner, provenance: {}, cwd: '/', untrusted: undefined };

type Pull = (signal: AbortSignal) => Promise<ImageFacts>;

/** One preparation with an image that is not here; nothing of the engine but its pull is asked for. */
async function prepareWith(
  raw: RawInputs,
  pull: Pull,
  signal = new AbortController().signal,
  store = new MemoryStore(),
) {
  const scratchDir = await scratch.folder('scratch');
  const log = createRecordingLog();
  const info = {
    version: '',
    apiVersion: '',
    architecture: 'amd64',
    host: '',
    mayShareFolders: true,
  };
  const runtime: Partial<ContainerRuntime> = {
    info: () => Promise.resolve(info),
    ensureImage: (_, limit, onPull) => {
      onPull?.();
      return pull(limit ?? signal);
    },
  };
  // Casts: nothing else is called.
  const tools = {
    ...{ runtime: runtime as ContainerRuntime, log, clock: systemClock, scratchDir, store },
  } as Partial<StoreTools> as StoreTools;
  const phases = measurePhases(systemClock);
  const prepared = prepare(tools, makeSettings(raw), who, phases, signal);
  return { prepared, phases, log, store, left: () => readdir(scratchDir) };
}

/** A store that holds `key`, and says when it has been asked to load it, and goes on only then. */
async function storeWith(key: string, loading: Promise<void> = Promise.resolve()) {
  const store = new MemoryStore();
  await storeSnapshot(store, scratch, { key, name: 'shop' });
  store.calls.length = 0;
  const asked = Promise.withResolvers<undefined>();
  const load = store.load.bind(store);
  store.load = async (found, dir, signal) => {
    asked.resolve(undefined);
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
    await Promise.race([loading, aborted]);
    return load(found, dir, signal);
  };
  return { store, asked: asked.promise };
}

test('a snapshot is loaded while its image is pulled', async () => {
  const { store, asked } = await storeWith('shop');
  const pull = () => asked.then(() => makeImage());
  const { prepared, log, phases } = await prepareWith({ key: 'shop' }, pull, undefined, store);
  // The manifest is compared with the image as it is, not as it was expected to be.
  await expect(prepared).resolves.toMatchObject({
    plan: { image: makeImage() },
    search: { kind: 'none', reason: 'the snapshot shop does not fit: password changed' },
  });
  expect(store.calls).toEqual(['find shop', 'load shop']);
  expect(log.lines.slice(0, 2)).toEqual(['info: pulling postgres:17', 'info: format: 1']);
  expect(log.lines.filter((line) => line.startsWith('info: data-path'))).toHaveLength(1);
  expect(phases.list().map(({ name }) => name)).toEqual(['image', 'search']);
});

test('the key of an image that must be pulled is known beforehand', async () => {
  for (const [image, facts] of [
    ['postgres:17', makeImage()],
    ['postgres:18-alpine', { ...postgres18Image, reference: 'postgres:18-alpine' }],
    ['redis:8', makeImage({ reference: 'redis:8', env: {} })],
  ] as const) {
    const { prepared, store } = await prepareWith({ image }, () => Promise.resolve(facts));
    const { plan } = await prepared;
    expect(plan.key).toBe((await makePlan(makeSettings({ image }), facts, who)).key);
    expect(store.calls).toEqual([`find ${plan.key}`, 'list']);
  }
});

test('what was fetched by another key than the true one is thrown away', async () => {
  const expected = (await makePlan(makeSettings(), makeImage(), who)).key;
  const { store, asked } = await storeWith(expected);
  const pull = () => asked.then(() => makeImage({ architecture: 'arm64' }));
  const { prepared, phases, left } = await prepareWith({}, pull, undefined, store);
  const { plan, search } = await prepared;
  expect(plan.key).toContain('arm64');
  expect(search).toMatchObject({
    kind: 'none',
    reason: expect.stringContaining('no snapshot for this key'),
  });
  expect(store.calls.filter((call) => call.startsWith('find'))).toEqual([
    `find ${expected}`,
    `find ${plan.key}`,
  ]);
  expect(await left()).toEqual([]);
  const searches = phases.list().filter(({ name }) => name === 'search');
  expect(searches.map(({ inVain }) => inVain)).toEqual([true, false]);
});

test('a key that was given holds, whatever the image is: its parts are told once more', async () => {
  const { store } = await storeWith('shop');
  const pull = () => Promise.resolve(makeImage({ architecture: 'arm64' }));
  const { prepared, log } = await prepareWith({ key: 'shop' }, pull, undefined, store);
  await expect(prepared).resolves.toMatchObject({
    search: { reason: 'the snapshot shop does not fit: architecture changed: amd64 -> arm64' },
  });
  expect(store.calls).toEqual(['find shop', 'load shop']);
  expect(log.lines).toContain('info: architecture: arm64');
});

test('nothing is looked up before the image is there where it alone tells the key', async () => {
  const pulled = makeImage({ volumes: ['/data'], ports: [80] });
  let calls: readonly string[] = [];
  const raw = { engine: 'generic', image: 'app:1', 'ready-command': 'true' };
  const store = new MemoryStore();
  const pull = (): Promise<ImageFacts> => {
    calls = [...store.calls];
    return Promise.resolve(pulled);
  };
  const { prepared } = await prepareWith(raw, pull, undefined, store);
  await expect(prepared).resolves.toMatchObject({ plan: { dataPath: '/data' } });
  expect(calls).toEqual([]);
  expect(store.calls).toHaveLength(2);
});

const unavailable = new AppError('image-unavailable', 'no such image');
const never = new Promise<void>(() => undefined);

test('a pull that fails ends the look-up, and of what came nothing is left', async () => {
  for (const loading of [never, Promise.resolve()]) {
    const { store, asked } = await storeWith('shop', loading);
    const pull = () => asked.then(() => Promise.reject(unavailable));
    const { prepared, left } = await prepareWith({ key: 'shop' }, pull, undefined, store);
    await expect(prepared).rejects.toBe(unavailable);
    expect(await left()).toEqual([]);
  }
  // The pull's error is the one to tell.
  const store = new MemoryStore();
  store.failNext('find', new AppError('wrong-key', 'no'));
  const { prepared } = await prepareWith({}, () => Promise.reject(unavailable), undefined, store);
  await expect(prepared).rejects.toBe(unavailable);
});

test('a look-up that fails is told when the image is there, if it was for its key', async () => {
  const wrongKey = new AppError('wrong-key', 'another identity');
  const expected = (await makePlan(makeSettings(), makeImage(), who)).key;
  const first = await storeWith(expected);
  first.store.failNext('load', wrongKey);
  const pull = () => Promise.resolve(makeImage());
  const { prepared } = await prepareWith({}, pull, undefined, first.store);
  await expect(prepared).rejects.toBe(wrongKey);

  const { store, asked } = await storeWith(expected);
  store.failNext('load', wrongKey);
  const otherPull = () => asked.then(() => makeImage({ architecture: 'arm64' }));
  const other = await prepareWith({}, otherPull, undefined, store);
  await expect(other.prepared).resolves.toMatchObject({ search: { kind: 'none' } });
});

test('a cancelled run ends both', async () => {
  const controller = new AbortController();
  const { store, asked } = await storeWith('shop', never);
  const pull = async (signal: AbortSignal): Promise<ImageFacts> => {
    await asked;
    controller.abort();
    signal.throwIfAborted();
    return makeImage();
  };
  const { prepared, left } = await prepareWith({ key: 'shop' }, pull, controller.signal, store);
  await expect(prepared).rejects.toThrow('aborted');
  expect(await left()).toEqual([]);
});
