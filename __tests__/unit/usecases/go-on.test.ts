import { expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { AppError } from '../../../src/errors.ts';
import type { ContainerRuntime, ContainerState } from '../../../src/runtime/runtime.ts';
import { startAgain } from '../../../src/usecases/go-on.ts';
import { createRecordingLog } from '../../support/recording-log.ts';

const ended = { id: '1', name: 'db', running: false } as ContainerState; // no more is asked for

/** An engine with one container, which cannot be started. */
function startFails(error: AppError): ContainerRuntime {
  const runtime: Partial<ContainerRuntime> = {
    inspectContainer: () => Promise.resolve(ended),
    startContainer: () => Promise.reject(error),
  };
  return runtime as ContainerRuntime; // nothing else is called
}

test.each([
  { code: 'copy-failed', as: 'container-unhealthy' },
  { code: 'internal', as: 'container-unhealthy' },
  { code: 'port-taken', as: 'container-unhealthy' },
  { code: 'docker-unreachable', as: 'docker-unreachable' },
] as const)('a container that does not start again is told: $code as $as', async ({ code, as }) => {
  const runtime = startFails(new AppError(code, 'no space left', { hint: 'Free some' }));
  const tools = { runtime, clock: systemClock, log: createRecordingLog() };
  await expect(startAgain(tools, ended, undefined, 0)).rejects.toMatchObject({
    code: as,
    message: 'the container db could not be started again: no space left',
    hint: 'Free some',
  });
});
