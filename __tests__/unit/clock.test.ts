import { expect, test } from '@jest/globals';

import { ageSeconds, secondsSince, systemClock } from '../../src/clock.ts';
import { silentLog } from '../../src/index.ts';
import { waitUntilReady } from '../../src/runtime/health.ts';
import type { ContainerRuntime, ContainerState } from '../../src/runtime/runtime.ts';
import { startAgain } from '../../src/usecases/go-on.ts';
import { FakeClock } from '../support/fake-clock.ts';

const { signal } = new AbortController();
const timeoutMs = 30_000;
// Casts: of a container and of the engine, only what is asked for here.
const state = { id: 'id', name: 'db', running: true, publishedPorts: {} } as ContainerState;
const runtime = {
  inspectContainer: () => Promise.resolve({ ...state, health: 'starting' }),
  exec: () => Promise.resolve({ exitCode: 1, output: 'not yet' }),
  logs: () => Promise.resolve(['last words']),
} as unknown as ContainerRuntime;

test('a wall clock that somebody sets changes no deadline and no duration', async () => {
  const clock = new FakeClock();
  expect(Math.abs(clock.now() - clock.now())).toBeGreaterThan(1e7);
  const startMs = clock.monotonicMs();

  const readiness = { command: ['ask'], env: {} };
  const ready = waitUntilReady(runtime, clock, 'id', readiness, timeoutMs, signal);
  await expect(clock.run(ready)).rejects.toMatchObject({
    code: 'container-unhealthy',
    message: 'the database was not ready within 30 s (last answer: not yet)',
  });
  expect(secondsSince(clock, startMs)).toBe(30);

  const before = { ...state, health: 'healthy' } as const;
  const company = { storages: [], others: [] };
  const tools = { runtime, clock, log: silentLog };
  const again = startAgain(tools, before, company, undefined, timeoutMs);
  await expect(clock.run(again)).rejects.toMatchObject({
    code: 'container-unhealthy',
    message: 'the container db was started again and is not healthy after 30 s',
  });
  expect(secondsSince(clock, startMs)).toBe(60);
});

test('moments are whole milliseconds: an AbortSignal takes no others for a time-out', () => {
  const startMs = systemClock.monotonicMs();
  expect(Number.isInteger(startMs)).toBe(true);
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(startMs);
});

test('ages are told by the wall clock', () => {
  expect(ageSeconds({ now: () => 90_000 }, 30_500)).toBe(59.5);
});
