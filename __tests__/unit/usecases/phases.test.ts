import { expect, test } from '@jest/globals';

import { measurePhases } from '../../../src/usecases/phases.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('phases are told by when they began and how long they took', async () => {
  const clock = new FakeClock();
  const phases = measurePhases(clock);
  const wait = (ms: number) => () => clock.run(clock.sleep(ms));
  await phases.timed('search', wait(1000));
  await expect(
    phases.timed('restore', async () => {
      await wait(500)();
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  await phases.timed('ready', wait(2000));
  await phases.timed('ready', wait(250));
  expect(phases.list()).toEqual([
    { name: 'search', startSeconds: 0, seconds: 1, inVain: false },
    { name: 'restore', startSeconds: 1, seconds: 0.5, inVain: false },
    { name: 'ready', startSeconds: 1.5, seconds: 2, inVain: false },
    { name: 'ready', startSeconds: 3.5, seconds: 0.25, inVain: false },
  ]);
  expect(phases.seconds()).toEqual({ search: 1, restore: 0.5, ready: 0.25, total: 3.75 });
  phases.discard('restore', 'check');
  expect(phases.seconds()).not.toHaveProperty('restore');
  expect(phases.list().filter(({ inVain }) => inVain)).toMatchObject([{ name: 'restore' }]);
});
