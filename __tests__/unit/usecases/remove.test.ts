import { describe, expect, test } from '@jest/globals';

import type { AppError } from '../../../src/errors.ts';
import { cloneRunLabels, purposeLabels, runLabels } from '../../../src/runtime/labels.ts';
import { cleanUp, removeRun } from '../../../src/usecases/remove.ts';
import { createRecordingLog } from '../../support/recording-log.ts';
import { thingsEngine } from '../../support/things-engine.ts';

const own = runLabels('run');
const ofClone = cloneRunLabels('run');
const note = { ...own, ...purposeLabels('starting') };
/** A database, a clone of it, and what is somebody else's. */
const things = {
  containers: { db: own, clone: ofClone, other: runLabels('another') },
  volumes: { 'db-1': own, 'db-2': own, 'clone-1': ofClone, 'other-1': {}, note },
};
const others = ['other', 'other-1'];

const failureOf = (removing: Promise<unknown>): Promise<AppError> =>
  removing.then(
    () => {
      throw new Error('it was to fail');
    },
    (error: unknown) => error as AppError,
  );

test('all that a run has made goes, and nothing else', async () => {
  const { runtime, left } = thingsEngine(things);
  expect(await removeRun(runtime, 'run')).toEqual({
    containers: ['clone', 'db'],
    volumes: ['clone-1', 'db-1', 'db-2'],
  });
  expect(left()).toEqual(others);
});

describe('what cannot be removed', () => {
  test.each([
    ['the container of a clone', 'clone', ['clone', 'clone-1']],
    ['its own container', 'db', ['db', 'db-1', 'db-2']],
    ['a volume of a clone', 'clone-1', ['clone-1']],
    ['one of its volumes', 'db-1', ['db-1']],
  ])('leaves nothing else behind but what it uses, and the note: %s', async (_, thing, stays) => {
    const { runtime, left } = thingsEngine(things, [thing]);
    const error = await failureOf(removeRun(runtime, 'run'));
    expect(left().sort()).toEqual([...others, ...stays, 'note'].sort());
    expect(error).toMatchObject({ code: 'engine-refused', hint: 'Try again' });
    const told = [error.message, ...error.details].join('\n');
    for (const each of stays) expect(told).toContain(`could not: ${each}`);
  });

  test('is told in one error, the first one as its cause', async () => {
    const { runtime, left } = thingsEngine(things, ['db-2', 'clone-1', 'db-1']);
    const error = await failureOf(removeRun(runtime, 'run'));
    expect(left()).toEqual(['other', 'db-1', 'db-2', 'clone-1', 'other-1', 'note']);
    expect(error).toMatchObject({
      code: 'engine-refused',
      message: 'not everything was cleaned up: could not: clone-1',
      cause: { message: 'could not: clone-1' },
      details: [
        'the volume clone-1: could not: clone-1',
        'the volume db-1: could not: db-1',
        'the volume db-2: could not: db-2',
      ],
    });
  });

  test.each([
    ['listContainers', ['db', 'clone', 'other', 'db-1', 'db-2', 'clone-1', 'other-1', 'note']],
    ['listVolumes', ['other', 'db-1', 'db-2', 'clone-1', 'free', 'other-1', 'note']],
  ])('is not even found: %s', async (verb, stays) => {
    const free = { ...things, volumes: { ...things.volumes, free: own } };
    const { runtime, left } = thingsEngine(free, [verb]);
    await expect(removeRun(runtime, 'run')).rejects.toMatchObject({ code: 'engine-refused' });
    expect(left().sort()).toEqual(stays.sort());
  });

  test('is all that is left when the engine goes away, and nobody waits for it again', async () => {
    const { runtime, left } = thingsEngine(things, ['db'], 'docker-unreachable');
    const error = await failureOf(removeRun(runtime, 'run'));
    expect(error).toMatchObject({
      code: 'docker-unreachable',
      message: 'not everything was cleaned up: could not: db',
      hint: 'Try again',
      details: [
        'the container db: could not: db',
        'the volume db-1: not tried',
        'the volume db-2: not tried',
      ],
    });
    expect(left()).toEqual(['db', 'other', 'db-1', 'db-2', 'other-1', 'note']);
  });

  test('is a warning after a failure, with all of it', async () => {
    const { runtime } = thingsEngine(things, ['db-1', 'db-2']);
    const log = createRecordingLog();
    await cleanUp({ runtime, log }, 'run');
    expect(log.lines).toEqual([
      'warn: could not clean up: not everything was cleaned up: could not: db-1. Try again',
      'info: the volume db-1: could not: db-1',
      'info: the volume db-2: could not: db-2',
    ]);
  });
});
