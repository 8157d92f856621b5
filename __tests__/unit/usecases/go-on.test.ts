import { describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import { identityOf } from '../../../src/process-identity.ts';
import { makerLabel, purposeLabels, workLabel } from '../../../src/runtime/labels.ts';
import type { ContainerRuntime, ContainerState, Mount } from '../../../src/runtime/runtime.ts';
import type { Tools } from '../../../src/usecases/context.ts';
import { startAgain } from '../../../src/usecases/go-on.ts';
import { recover } from '../../../src/usecases/recover.ts';
import { suspensionOf } from '../../../src/usecases/suspension.ts';
import { companyOf } from '../../../src/usecases/writers.ts';
import { makeContainer } from '../../support/container-states.ts';
import { createRecordingLog } from '../../support/recording-log.ts';

const { signal } = new AbortController();
const data: Mount = { type: 'volume', source: 'data', target: '/data' };
const database = makeContainer({ mounts: [data] });

interface FakeWorld {
  readonly tools: Pick<Tools, 'runtime' | 'clock' | 'log'>;
  /** What was asked of the engine, but for looking. */
  readonly done: string[];
}

/** An engine with these containers, which can be let go on. */
function engineWith(
  containers: readonly ContainerState[],
  verbs: Partial<ContainerRuntime> = {},
): FakeWorld {
  const states = new Map(containers.map((each) => [each.id, each]));
  const done: string[] = [];
  const change = (verb: string, id: string, changes: Partial<ContainerState>): Promise<void> => {
    const state = states.get(id);
    if (state) states.set(id, { ...state, ...changes });
    done.push(`${verb} ${state?.name ?? id}`);
    return Promise.resolve();
  };
  const runtime: Partial<ContainerRuntime> = {
    inspectContainer: (id) => Promise.resolve(states.get(id)),
    listContainers: (labels) =>
      Promise.resolve(Object.keys(labels).length === 0 ? [...states.values()] : []),
    startContainer: (id) => change('start', id, { running: true }),
    unpauseContainer: (id) => change('unpause', id, { paused: false }),
    ...verbs,
  };
  // A cast: nothing else is called.
  const tools = { runtime: runtime as ContainerRuntime, clock: systemClock };
  return { tools: { ...tools, log: createRecordingLog() }, done };
}

test.each([
  { code: 'copy-failed', as: 'container-unhealthy' },
  { code: 'internal', as: 'container-unhealthy' },
  { code: 'port-taken', as: 'container-unhealthy' },
  { code: 'docker-unreachable', as: 'docker-unreachable' },
] as const)('a container that does not start again is told: $code as $as', async ({ code, as }) => {
  const error = new AppError(code, 'no space left', { hint: 'Free some' });
  const ended = { ...database, running: false };
  const { tools } = engineWith([ended], { startContainer: () => Promise.reject(error) });
  const company = companyOf(database, [database], [data]);
  await expect(startAgain(tools, ended, company, undefined, 0)).rejects.toMatchObject({
    code: as,
    message: 'the container db could not be started again: no space left',
    hint: 'Free some',
  });
});

test('a container that was removed meanwhile is told, and not taken for the one that has its name now', async () => {
  const { tools, done } = engineWith([makeContainer({ id: 'f'.repeat(64), mounts: [data] })]);
  const company = companyOf(database, [database], [data]);
  const again = startAgain(tools, database, company, undefined, 0);
  await expect(again).rejects.toMatchObject({
    message: 'the container db was removed while it was at rest',
    hint: expect.not.stringContaining('docker rm'),
  });
  expect(done).toEqual([]);
});

const idOf = (letter: string): string => letter.repeat(64);
const worker = makeContainer({ id: idOf('a'), name: 'worker', mounts: [data] });
const idle = { ...worker, running: false };
const rest = [
  { left: 'stopped', atRest: { ...database, running: false }, goOn: 'start' },
  { left: 'paused', atRest: { ...database, paused: true }, goOn: 'unpause' },
] as const;

describe.each(rest)('a container that was $left for a copy', ({ left, atRest, goOn }) => {
  const again = async (
    before: readonly ContainerState[],
    now: readonly ContainerState[],
  ): Promise<readonly string[]> => {
    const { tools, done } = engineWith([atRest, ...now]);
    const company = companyOf(database, [database, ...before], [data]);
    await startAgain(tools, database, company, undefined, 0);
    return done;
  };

  test.each([
    { who: 'one that ran before', before: [worker], now: [worker] },
    { who: 'one that was restarted', before: [worker], now: [{ ...worker, startedAt: 'later' }] },
    { who: 'one that only ran meanwhile', before: [], now: [idle] },
    {
      who: 'a new one that only reads',
      ...{ before: [], now: [{ ...worker, mounts: [{ ...data, readOnly: true }] }] },
    },
    {
      who: 'a new one with another volume',
      ...{ before: [], now: [{ ...worker, mounts: [{ ...data, source: 'other' }] }] },
    },
  ])('goes on beside $who', async ({ before, now }) => {
    expect(await again(before, now)).toEqual([`${goOn} db`]);
  });

  test.each([
    { who: 'one that was made meanwhile', before: [] },
    { who: 'one that did not run before', before: [idle] },
  ])('is left so beside $who, with the commands to choose by', async ({ before }) => {
    const { tools, done } = engineWith([atRest, worker]);
    const company = companyOf(database, [database, ...before], [data]);
    await expect(startAgain(tools, database, company, undefined, 0)).rejects.toMatchObject({
      code: 'container-unhealthy',
      message: `the container db is left ${left}: worker was started meanwhile, and may write to data as well`,
      hint: `Let one of them have it: "docker stop worker" and then "docker ${goOn} db", or "docker rm --force db"`,
    });
    expect(done).toEqual([]);
  });

  test('is left so by recover, too, until it is alone again', async () => {
    const how = left === 'paused' ? 'pause' : 'stop';
    const company = companyOf(database, [database], [data]);
    const noted = { how, order: 0, graceMs: 1, company } as const;
    const note = {
      ...{ name: 'note', driver: 'local', options: {}, mountpoint: '/' },
      labels: {
        ...purposeLabels('suspended'),
        [makerLabel]: identityOf(process.pid).replace(/\d+$/, '1'), // one that had this id before
        [workLabel]: JSON.stringify(suspensionOf(database, noted, false)),
      },
    };
    const recovered = async (...containers: readonly ContainerState[]) => {
      const wanted = JSON.stringify(purposeLabels('suspended'));
      const { tools, done } = engineWith(containers, {
        listVolumes: (labels) => Promise.resolve(JSON.stringify(labels) === wanted ? [note] : []),
        listImages: () => Promise.resolve([]),
        removeVolume: (name) => Promise.resolve(void done.push(`forget ${name}`)),
      });
      const request = { force: false, waitTimeoutMs: 0 };
      // A cast: the other tools are not used.
      return { report: await recover(tools as Tools, request, signal), done };
    };
    const beside = await recovered(atRest, worker);
    expect(beside.report.failed).toEqual([
      expect.stringContaining(`the container db is left ${left}: worker was started meanwhile`),
    ]);
    expect(beside.done).toEqual([]);
    // One that was not told to stop yet is not, for then it would have to stay so.
    const untouched = await recovered({ ...database, name: 'db' }, worker);
    expect(untouched.report.failed).toEqual(
      how === 'stop' ? [expect.stringContaining('the container db is left running: worker')] : [],
    );
    expect(untouched.done).toEqual(how === 'stop' ? [] : ['forget note']);
    const alone = await recovered(atRest, idle);
    expect(alone.report.repaired).toEqual([expect.stringContaining('the container db runs again')]);
    expect(alone.done).toEqual([`${goOn} db`, 'forget note']);
  });
});
