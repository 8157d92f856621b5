import { expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { makerLabel, purposeLabels, type Purpose } from '../../../src/runtime/labels.ts';
import type { Tools } from '../../../src/usecases/context.ts';
import { recover } from '../../../src/usecases/recover.ts';
import { createRecordingLog } from '../../support/recording-log.ts';
import { thingsEngine } from '../../support/things-engine.ts';

/** As this version writes a process that has ended. */
const dead = (purpose: Purpose) => ({ ...purposeLabels(purpose), [makerLabel]: 'nobody' });
const { signal } = new AbortController();

/** `nobody` is not known here: with `force` it is taken for dead. */
const recovered = (engine: ReturnType<typeof thingsEngine>) => {
  const { runtime } = engine;
  const tools: Partial<Tools> = { runtime, clock: systemClock, log: createRecordingLog() };
  return recover(tools as Tools, { force: true, waitTimeoutMs: 0 }, signal); // no more is used
};

test('what cannot be read or removed keeps nothing else from being repaired', async () => {
  const engine = thingsEngine(
    {
      containers: { stuck: dead('copy'), helper: dead('copy') },
      // None of the first two says what was at work.
      volumes: { odd: dead('suspended'), half: dead('restoring'), 'save-note': dead('saving') },
    },
    ['stuck', 'listImages'],
  );
  expect(await recovered(engine)).toEqual({
    repaired: ['removed the helper container helper'],
    left: [],
    failed: [
      'stuck: could not: stuck',
      'empty images: could not: listImages',
      'the volume odd: the volume odd has labels of snapvol, and cannot be read',
      'the volume half: the volume half has labels of snapvol, and cannot be read',
    ],
  });
  expect(engine.left()).toEqual(['stuck', 'odd', 'half']);
});

test('an engine that goes away ends it', async () => {
  const engine = thingsEngine(
    { containers: { helper: dead('copy') }, volumes: {} },
    ['helper'],
    'docker-unreachable',
  );
  await expect(recovered(engine)).rejects.toMatchObject({ code: 'docker-unreachable' });
});
