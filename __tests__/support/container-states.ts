import type { ContainerState } from '../../src/runtime/runtime.ts';

/** A complete state of a running container of no known program, with overrides. */
export function makeContainer(overrides: Partial<ContainerState> = {}): ContainerState {
  return {
    ...{ id: 'd'.repeat(64), name: 'db', running: true, paused: false, everStarted: true },
    ...{ startedAt: '2026-01-01T00:00:00Z', exitCode: 0, oomKilled: false, autoRemove: false },
    ...{ hostPort: undefined, publishedPorts: {}, labels: {}, mounts: [], env: {}, command: [] },
    ...{ image: 'acme/program', imageId: 'sha256:1', needs: [], joins: [], health: 'none' },
    ...{ stopSignal: 'SIGTERM', stopTimeoutMs: undefined },
    restartPolicy: { name: 'no', maximumRetryCount: 0 },
    ...overrides,
  };
}
