import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';

import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { systemClock } from '../../src/clock.ts';
import { composeTools, type Composition } from '../../src/compose.ts';
import { thisProcess } from '../../src/process-identity.ts';
import {
  cloneLabels,
  labelsFor,
  makerLabel,
  nameLabel,
  purposeLabel,
  runLabels,
  type Owner,
  type Purpose,
} from '../../src/runtime/labels.ts';
import type { ContainerRuntime, Labels } from '../../src/runtime/runtime.ts';
import { parseSettings } from '../../src/settings.ts';
import { createFileStore } from '../../src/stores/file.ts';
import type { StoreTools, Tools } from '../../src/usecases/context.ts';
import { clone } from '../../src/usecases/clone.ts';
import { recover } from '../../src/usecases/recover.ts';
import { removeMade, removeRun } from '../../src/usecases/remove.ts';
import { reset } from '../../src/usecases/reset.ts';
import { start } from '../../src/usecases/start.ts';
import { requireStarted } from '../../src/usecases/started.ts';
import { noteStarting } from '../../src/usecases/starting.ts';
import { stop } from '../../src/usecases/stop.ts';
import { withSpec } from '../support/altered-runtime.ts';
import { docker, madeWith, removeMadeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { useScratch } from '../support/store-bundles.ts';

// What tells the engine whose things are whose: the note of a `start`, and the labels of what it makes.

const scope = `starting-${process.pid}`;
const image = testImage('no-tar');
/** On what is nobody's here. */
const strange = `snapvol.test.strange=${process.pid}`;
const { signal } = new AbortController();
const scratch = useScratch();

let composed: Composition<Tools>;
let tools: Tools;
beforeAll(async () => {
  const around = { log: createRecordingLog(), tempDir: tmpdir(), cwd: tmpdir(), env: process.env };
  composed = await composeTools({ ...around, outputFd: 2 }, 'auto');
  ({ tools } = composed);
});
afterAll(async () => {
  for (const label of [`dev.snapvol.scope=${scope}`, strange]) await removeMadeWith(label);
  await composed[Symbol.asyncDispose]();
});

let owner: Owner;
beforeEach(() => {
  owner = newOwner(`db-${randomUUID().slice(0, 8)}`);
});

function newOwner(name: string): Owner {
  return { scope, name, run: randomUUID() };
}

const madeBy = ({ run }: Owner): ReturnType<typeof madeWith> => madeWith(`dev.snapvol.run=${run}`);

/** A container that never starts, and a volume, as `start` makes them. */
async function make(): Promise<{ container: string; volume: string }> {
  const name = `snapvol-${owner.name}-${owner.run.slice(0, 8)}`;
  const volume = `${name}-data`;
  await tools.runtime.createVolume(volume, labelsFor(owner, 'volume'));
  await tools.runtime.createContainer({
    ...{ name, image, entrypoint: ['never-started'], labels: labelsFor(owner, 'database') },
    mounts: [{ type: 'volume', source: volume, target: '/data' }],
  });
  return { container: name, volume };
}

/** The note of a process that is gone, or of one that nobody here can look for. */
async function noteOf(
  maker: string,
  purpose: Purpose = 'starting',
  more: Labels = {},
): Promise<string> {
  const labels: Labels = { ...labelsFor(owner, purpose), ...more, [makerLabel]: maker };
  const args = Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
  return docker('volume', 'create', ...args, `note-${owner.run}`);
}

function recovered(force = false): ReturnType<typeof recover> {
  return recover(tools, { force, waitTimeoutMs: 1000 }, signal);
}

test('of processes that start one name at once, one goes on', async () => {
  const owners = Array.from({ length: 6 }, () => newOwner(owner.name));
  const tries = await Promise.allSettled(owners.map((each) => noteStarting(tools.runtime, each)));
  const refused = tries.filter((each) => each.status === 'rejected');
  expect(refused).toHaveLength(5);
  for (const { reason } of refused) {
    const message = `a database named ${owner.name} is being started, cloned or stopped by another process`;
    expect(reason).toMatchObject({ code: 'name-taken', message });
  }
  const first = owners[tries.findIndex(({ status }) => status === 'fulfilled')];
  if (!first) throw new Error('one has gone on');
  const notes = await madeWith(`dev.snapvol.name=${owner.name}`);
  expect(notes).toMatchObject({ containers: [], volumes: [expect.any(String)] });
  expect(await madeBy(first)).toEqual(notes);

  // Another name, and the same in another scope, are free; once it is forgotten this one is, too.
  await noteStarting(tools.runtime, newOwner(`${owner.name}-2`));
  await noteStarting(tools.runtime, { ...owner, scope: `${scope} elsewhere` });
  await removeRun(tools.runtime, owner.run);
  await removeRun(tools.runtime, first.run);
  await noteStarting(tools.runtime, owner);
});

test('a note stays while its run goes on, and goes with all that the run has made', async () => {
  await noteStarting(tools.runtime, owner);
  const { volumes: notes } = await madeBy(owner);
  const made = await make();
  expect(await removeMade(tools.runtime, runLabels(owner.run))).toEqual({
    containers: [made.container],
    volumes: [made.volume],
  });
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: notes });
  await make();
  await removeRun(tools.runtime, owner.run);
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: [] });
});

test('what a killed start has made is removed; not what lives, or may live elsewhere', async () => {
  await noteStarting(tools.runtime, owner);
  await make();
  const living = await madeBy(owner);
  expect((await recovered(false)).repaired.join()).not.toContain(owner.name);
  expect(await madeBy(owner)).toEqual(living);

  owner = newOwner(`${owner.name}-2`);
  const { container, volume } = await make();
  await noteOf(`elsewhere ${thisProcess()}`);
  const left = await recovered();
  expect(left.left).toEqual([`the start of ${owner.name}`]);
  expect((await madeBy(owner)).containers).toEqual([container]);
  const line = `removed what the start of ${owner.name} had made before it was cut off`;
  expect((await recovered(true)).repaired).toEqual([`${line}: ${container}, ${volume}`]);
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: [] });

  owner = newOwner(`${owner.name}-3`);
  await make();
  await noteOf(`${thisProcess()}0`);
  expect((await recovered()).repaired.join()).toContain(`the start of ${owner.name}`);
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: [] });
});

test('a name of several databases is none, and each of them is left as it is', async () => {
  const first = await make();
  owner = newOwner(owner.name);
  const second = await make();
  const failed = { code: 'name-taken', message: expect.stringContaining(second.container) };
  const ofName = { ...owner, waitTimeoutMs: 1000 };
  await expect(reset(tools, ofName, signal)).rejects.toMatchObject(failed);
  const ofClone = { ...ofName, owner: newOwner(owner.name), count: 1 };
  await expect(clone(tools, ofClone, signal)).rejects.toMatchObject(failed);
  const { containers } = await madeWith(`dev.snapvol.name=${owner.name}`);
  expect([...containers].sort()).toEqual([first.container, second.container].sort());
});

test('what is being started, cloned or stopped is not reset, and not stopped once more', async () => {
  await make();
  await noteStarting(tools.runtime, owner);
  const made = await madeBy(owner);
  const taken = { code: 'name-taken' };
  await expect(reset(tools, { ...owner, waitTimeoutMs: 1000 }, signal)).rejects.toMatchObject(
    taken,
  );
  await expect(stop(tools, owner)).rejects.toMatchObject(taken);
  expect(await madeBy(owner)).toEqual(made);
});

test('what is being reset is not stopped, nor what it was cloned from', async () => {
  await make();
  const name = `${owner.name}-origin`;
  const note = await noteOf(thisProcess(), 'resetting', cloneLabels(scope, name));
  const made = await madeBy(owner);
  const taken = { code: 'name-taken', message: expect.stringContaining(`${owner.name} is being`) };
  await expect(stop(tools, owner)).rejects.toMatchObject(taken);
  await expect(stop(tools, { scope, name })).rejects.toMatchObject(taken);
  expect(await madeBy(owner)).toEqual(made);
  await docker('volume', 'rm', note);
  await stop(tools, owner);
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: [] });
});

test('what a killed start has left can be stopped, wherever that was', async () => {
  await make();
  await noteOf(`elsewhere ${thisProcess()}`);
  await stop(tools, owner);
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: [] });
  await expect(stop(tools, owner)).rejects.toMatchObject({ code: 'container-missing' });
  expect(await madeWith(`dev.snapvol.name=${owner.name}`)).toEqual({ containers: [], volumes: [] });
});

test.each([
  ['a slash', 'a/b c'],
  ['an accent', 'ä'],
  ['300 letters', 'x'.repeat(300)],
])('a name with %s, which was never started, is not found', async (_what, name) => {
  const missing = { code: 'container-missing' };
  await expect(stop(tools, { scope, name })).rejects.toMatchObject(missing);
  const ofClone = { owner: newOwner(name), count: 1, waitTimeoutMs: 1000 };
  await expect(clone(tools, ofClone, signal)).rejects.toMatchObject(missing);
  await expect(
    reset(tools, { ...ofClone.owner, waitTimeoutMs: 1000 }, signal),
  ).rejects.toMatchObject(missing);
});

test("a user's container of an image that was made from one of ours is the user's", async () => {
  const { container } = await make();
  const [theirs, copy] = [`theirs-${owner.run}`, `snapvol-test/theirs:${owner.run}`];
  await docker('commit', container, copy);
  try {
    await docker('create', '--name', theirs, copy);
    expect(await madeBy(owner)).toMatchObject({ containers: [theirs, container] });
    expect(await requireStarted(tools.runtime, owner, signal)).toMatchObject({ name: container });
    await noteOf(`${thisProcess()}0`);
    expect((await recovered()).repaired.join()).not.toContain(theirs);
    await expect(requireStarted(tools.runtime, owner, signal)).rejects.toMatchObject({
      code: 'container-missing',
    });
    expect(await madeBy(owner)).toEqual({ containers: [theirs], volumes: [] });
  } finally {
    await docker('rm', '--force', theirs);
    await docker('rmi', copy);
  }
});

test('a free port that is taken before it is used is changed for another', async () => {
  const held = createServer().listen(0, '127.0.0.1');
  await once(held, 'listening');
  const { port } = held.address() as AddressInfo; // a cast: it listens on a port
  let made = 0;
  const runtime = withSpec(tools.runtime, (spec) =>
    spec.publish && made++ === 0 ? { ...spec, publish: { ...spec.publish, hostPort: port } } : spec,
  );
  const store = createFileStore(await scratch.folder('store'));
  const inputs = { image: testImage('redis:7'), port: '0', save: 'false', reset: 'off' };
  const settings = parseSettings(inputs, { defaultStore: 'artifact' });
  const who = { owner, provenance: {}, cwd: tmpdir(), untrusted: undefined };
  try {
    const { endpoint } = await start({ ...tools, runtime, store }, settings, who, signal);
    expect(endpoint.port).not.toBe(port);
    const { containers, volumes } = await removeRun(tools.runtime, owner.run);
    expect([containers, volumes]).toEqual([[expect.anything()], [expect.anything()]]);
  } finally {
    held.close();
  }
});

/**
 * An engine where somebody takes the name of this clone's container at the last moment. The other clones are at work
 * when that is known.
 */
function withTaken(taken: string): ContainerRuntime {
  const { runtime } = tools;
  const { name: origin } = owner;
  const known = Promise.withResolvers<undefined>();
  return {
    ...runtime,
    async createContainer(spec, ...rest) {
      const { [nameLabel]: name, [purposeLabel]: purpose } = spec.labels;
      if (purpose !== 'database' || name === origin) return runtime.createContainer(spec, ...rest);
      if (name === taken) {
        try {
          await docker('create', '--name', spec.name, '--label', strange, image, 'never-started');
          return await runtime.createContainer(spec, ...rest);
        } finally {
          known.resolve(undefined);
        }
      }
      await known.promise;
      return runtime.createContainer(spec, ...rest);
    },
  };
}

test('when one of several clones cannot be made, none is left', async () => {
  const store = createFileStore(await scratch.folder('store'));
  const inputs = { image: testImage('redis:7'), port: '0', seed: 'true', save: 'false' };
  const settings = parseSettings(inputs, { defaultStore: store.name });
  const who = { provenance: {}, cwd: tmpdir(), untrusted: undefined };
  const { container } = await start({ ...tools, store }, settings, { ...who, owner }, signal);
  const before = await madeBy(owner);
  const refused = { code: 'name-taken', message: expect.stringContaining('a container named') };
  const ofClones = newOwner(owner.name);
  const request = { owner: ofClones, count: 3, waitTimeoutMs: 30_000 };
  const cloning = clone({ ...tools, runtime: withTaken(`${owner.name}-2`) }, request, signal);
  await expect(cloning).rejects.toMatchObject(refused);
  expect(await madeBy(ofClones)).toEqual({ containers: [], volumes: [] });
  expect(await madeBy(owner)).toEqual(before);
  const found = await requireStarted(tools.runtime, owner, signal);
  expect(found).toMatchObject({ id: container, running: true });
  await removeRun(tools.runtime, owner.run);

  owner = newOwner(`${owner.name}-more`);
  const also = { ...tools, store, runtime: withTaken(`${owner.name}-1`) };
  const starting = start(also, { ...settings, clones: 2 }, { ...who, owner }, signal);
  await expect(starting).rejects.toMatchObject(refused);
  expect(await madeBy(owner)).toEqual({ containers: [], volumes: [] });
  expect((await madeWith(strange)).containers).toHaveLength(2);
});

const hourMs = 3_600_000;

/** One start that may save by itself, and whose seed and copy seem to take so long. */
async function startLate(seedMs: number, copyMs: number, handOver?: StoreTools['handOver']) {
  const log = createRecordingLog();
  const store = createFileStore(await scratch.folder('store'));
  let lateMs = 0;
  const { runScript, copier } = tools;
  const late: StoreTools = {
    ...{ ...tools, log, store, scratchDir: await scratch.folder('run') },
    clock: { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + lateMs },
    runScript: (...args) => runScript(...args).finally(() => (lateMs += seedMs)),
    copier: {
      ...copier,
      save: (...args) => copier.save(...args).finally(() => (lateMs += copyMs)),
    },
    ...(handOver && { handOver }),
  };
  const inputs = { image: testImage('redis:7'), port: '0', seed: 'true' };
  const settings = parseSettings(inputs, { defaultStore: store.name });
  const who = { owner, provenance: {}, cwd: tmpdir(), untrusted: undefined };
  const { save, snapshot } = await start(late, settings, who, signal);
  await removeRun(tools.runtime, owner.run);
  return { save, snapshot, stored: await store.list(signal), log };
}

test('a snapshot is not saved by itself when restoring it would take longer than seeding', async () => {
  const { save, snapshot, stored, log } = await startLate(0, hourMs);
  const reason = expect.stringMatching(/^seeding took [\d.]+ s, restoring would take about 360\d/);
  expect(save).toEqual({ kind: 'skipped', reason });
  expect(log.lines).toContainEqual(expect.stringContaining('info: Not saved: seeding took'));
  expect([snapshot, stored]).toEqual([undefined, []]);
});

test('else it is; and a bundle that cannot be handed over to another process is saved by this one', async () => {
  const handOver = (): Promise<void> => Promise.reject(new Error('no more processes'));
  const { save, stored, log } = await startLate(2 * hourMs, hourMs, handOver);
  expect(save).toEqual({ kind: 'saved' });
  expect(stored).toHaveLength(1);
  expect(log.lines).toContain('info: uploading now, and not in the background: no more processes');
});

test('a database that a living process starts is not stopped under its hands', async () => {
  await noteStarting(tools.runtime, owner);
  const { container } = await make();
  await expect(stop(tools, owner)).rejects.toMatchObject({ code: 'name-taken' });
  expect((await madeBy(owner)).containers).toEqual([container]);
  await removeRun(tools.runtime, owner.run);
});
