import { cp, readdir } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { containerEvent } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { startResultsService } from '../support/results-service/index.ts';
import {
  nothing,
  startJob,
  type Inputs,
  type Job,
  type Step,
  type StepOptions,
  storeOfJobs,
} from '../support/runner.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

const inputs: Inputs = { image: testImage('postgres:17'), port: '0', key: 'shop', seed: 'true' };

type When = NonNullable<StepOptions['interrupt']>['when'];

/** The moment when the engine has created or started a container for this purpose. */
const atContainer =
  (action: 'create' | 'start', purpose: 'database' | 'copy') =>
  (job: Job): When =>
  (ended) =>
    containerEvent(action, [job.label, `dev.snapvol.purpose=${purpose}`], job.startMs, ended);

interface Point {
  readonly point: string;
  /** What is in the store beforehand. */
  readonly stored: readonly string[];
  readonly inputs?: Inputs;
  readonly when: (job: Job) => When;
}

/** Goes on until it is ended, or the action that runs it. */
const endless = 'echo the seed has begun; tail --pid=$PPID --follow /dev/null';

const creating: Point = { point: 'creating things', stored: [], when: () => /^Miss: / };
const waiting: Point = {
  point: 'waiting for the database',
  stored: [],
  when: atContainer('start', 'database'),
};
const seeding: Point = {
  point: 'seeding',
  stored: [],
  inputs: { seed: endless },
  when: () => /^the seed has begun$/,
};
const saving = (copy: 'pipe' | 'archive'): Point => ({
  point: `taking a snapshot (${copy})`,
  stored: [],
  inputs: { copy },
  when: atContainer(copy === 'pipe' ? 'start' : 'create', 'copy'),
});
const restoring = (copy: 'pipe' | 'archive'): Point => ({
  point: `restoring (${copy})`,
  stored: ['shop'],
  inputs: { copy },
  when: atContainer(copy === 'pipe' ? 'start' : 'create', 'copy'),
});

let scratch: ScratchFolder;
let stored: string;
beforeAll(async () => {
  scratch = await createScratch();
  stored = await scratch.folder('store');
  await using job = await startJob();
  const step = await job.step({ ...inputs, store: `file:${stored}` });
  expect(step.exitCode).toBe(0);
  await step.post();
});
afterAll(async () => {
  await scratch.remove();
});

async function interrupted(job: Job, point: Point, signal: NodeJS.Signals) {
  const store = await scratch.folder('store');
  if (point.stored.length > 0) await cp(stored, store, { recursive: true });
  const step = await job.step(
    { ...inputs, ...point.inputs, store: `file:${store}` },
    { interrupt: { signal, when: point.when(job) } },
  );
  // What a killed process was just writing has another name, and the next one removes it.
  const snapshots = (await readdir(storeOfJobs(store)).catch(() => [])).filter(
    (name) => !name.startsWith('.tmp-'),
  );
  expect(snapshots).toEqual(point.stored);
  return step;
}

describe('cancelled by the runner', () => {
  test.each<{ point: string; signal: NodeJS.Signals; at: Point }>([
    { ...creating, signal: 'SIGINT', at: creating },
    { ...waiting, signal: 'SIGTERM', at: waiting },
    { ...seeding, signal: 'SIGINT', at: seeding },
    { ...saving('pipe'), signal: 'SIGTERM', at: saving('pipe') },
    { ...saving('archive'), signal: 'SIGINT', at: saving('archive') },
    { ...restoring('pipe'), signal: 'SIGINT', at: restoring('pipe') },
    { ...restoring('archive'), signal: 'SIGTERM', at: restoring('archive') },
  ])('leaves nothing when it gets $signal while $point', async ({ at, signal }) => {
    await using job = await startJob();
    const step = await interrupted(job, at, signal);
    expect(step).toMatchObject({
      exitCode: 1,
      errors: [expect.stringContaining('cancelled')],
      warnings: [],
      outputs: { 'cache-hit': 'false' },
    });
    expect(await job.leftovers()).toEqual(nothing);
    expect(await step.post()).toMatchObject({ exitCode: 0, warnings: [] });
  });

  test("leaves nothing when it gets SIGINT while saving to GitHub's cache", async () => {
    await using cleanup = new AsyncDisposableStack();
    const service = await startResultsService();
    cleanup.defer(() => service.close());
    const job = cleanup.use(await startJob({ env: service.env }));
    const held = service.faults.hold('CreateCacheEntry');
    const step = await job.step(
      { ...inputs, store: 'actions-cache' },
      { interrupt: { signal: 'SIGINT', when: () => held.reached } },
    );
    held.release();
    expect(step).toMatchObject({ exitCode: 1, errors: [expect.stringContaining('cancelled')] });
    expect(await job.leftovers()).toMatchObject({ containers: [], volumes: [] });
    expect(service.entries()).toEqual([]);
  });
});

describe('killed', () => {
  test.each([seeding, saving('pipe')])('while $point: post removes what is left', async (at) => {
    await using job = await startJob();
    const { step, left } = await killed(job, at);
    const post = await step.post();
    expect(post).toMatchObject({ exitCode: 0, errors: [] });
    for (const name of left) expect(post.log).toContain(name);
    expect(await job.leftovers()).toMatchObject({ containers: [], volumes: [] });
  });

  test('before post could run: a later job does it', async () => {
    await using job = await startJob();
    const { step, left } = await killed(job, restoring('archive'));
    await using later = await startJob();
    const next = await later.subStep('restore', { key: 'none', store: `file:${stored}` });
    expect(next).toMatchObject({ exitCode: 0, errors: [] });
    for (const name of left) expect(next.warnings.join()).toContain(name);
    expect(await job.leftovers()).toMatchObject({ containers: [], volumes: [] });
    expect(await step.post()).toMatchObject({ exitCode: 0, warnings: [] });
  });
});

/** Ends main there; the step, and the names of what it has left. */
async function killed(job: Job, at: Point): Promise<{ step: Step; left: readonly string[] }> {
  const step = await interrupted(job, at, 'SIGKILL');
  expect(step.exitCode).toBeNull();
  const { containers, volumes } = await job.leftovers();
  expect(containers).not.toEqual([]);
  const isNote = (volume: string): boolean => volume.startsWith('snapvol-starting-');
  expect(volumes.filter(isNote)).toHaveLength(1);
  return { step, left: [...containers, ...volumes.filter((each) => !isNote(each))] };
}
