import { expect, test } from '@jest/globals';

import { AppError } from '../../../src/errors.ts';
import type { ContainerRuntime } from '../../../src/runtime/runtime.ts';
import { whileSuspended } from '../../../src/usecases/suspension.ts';
import { createRecordingLog } from '../../support/recording-log.ts';

const always = { name: 'always', maximumRetryCount: 0 };

test('a container goes on though its restart policy cannot be restored, and stays noted', async () => {
  const calls: string[] = [];
  const runtime: Partial<ContainerRuntime> = {
    createVolume: (name) => Promise.resolve(void calls.push(`note ${name}`)),
    setRestartPolicy: (_, { name }) => Promise.resolve(void calls.push(`policy ${name}`)),
    inspectContainer: () => Promise.reject(new AppError('engine-refused', 'could not inspect')),
    removeVolume: () => Promise.resolve(void calls.push('forget')),
  };
  const suspended = whileSuspended(
    { runtime: runtime as ContainerRuntime, log: createRecordingLog() }, // nothing else is called
    {
      ...{ container: 'abc', name: 'db', how: 'stop', startedAt: '', order: 0, graceMs: 0 },
      company: { storages: [], others: [] },
      restartPolicy: always,
    },
    () => Promise.resolve(void calls.push('work')),
    () => Promise.resolve(void calls.push('go on')),
  );
  await expect(suspended).rejects.toMatchObject({ message: 'could not inspect' });
  expect(calls).toEqual(['note snapvol-suspended-abc', 'policy no', 'work', 'go on']);
});

test('the restart policy of a container that must stay stopped is not restored', async () => {
  const calls: string[] = [];
  const runtime: Partial<ContainerRuntime> = {
    createVolume: () => Promise.resolve(),
    setRestartPolicy: (_, { name }) => Promise.resolve(void calls.push(`policy ${name}`)),
    removeVolume: () => Promise.resolve(void calls.push('forget')),
  };
  const suspended = whileSuspended(
    { runtime: runtime as ContainerRuntime, log: createRecordingLog() }, // nothing else is called
    {
      ...{ container: 'abc', name: 'db', how: 'stop', startedAt: '', order: 0, graceMs: 0 },
      company: { storages: [], others: [] },
      restartPolicy: always,
    },
    () => Promise.resolve(),
    () => Promise.reject(new AppError('container-unhealthy', 'left stopped')),
  );
  await expect(suspended).rejects.toThrow('left stopped');
  expect(calls).toEqual(['policy no']);
});
