import { secondsSince } from '../clock.ts';
import {
  nameLabel,
  nameLabels,
  purposeLabels,
  runLabel,
  runLabels,
  scopeLabel,
  type Owner,
} from '../runtime/labels.ts';
import type { ContainerState, VolumeInfo } from '../runtime/runtime.ts';
import type { Tools } from './context.ts';
import { startAgain } from './go-on.ts';
import { requireGolden } from './golden.ts';
import { findStarted, notStarted } from './started.ts';
import { readStarted } from './started-source.ts';
import { noteAtWork } from './suspension.ts';
import { resetClone } from './volume-clones.ts';

export interface ResetRequest extends Pick<Owner, 'scope' | 'name'> {
  readonly waitTimeoutMs: number;
}

export interface ResetReport {
  readonly name: string;
  readonly container: string;
  readonly volumes: readonly string[];
  readonly seconds: number;
}

/**
 * Puts a started database back to what it was when it was started: the same container, at the same host and port, with
 * the data of its snapshot. Whoever is connected to it is cut off. When it resolves the database serves.
 * @throws `container-missing`; `invalid-settings` for one that was started without; `name-taken` while another process
 *   resets or saves it; `container-unhealthy`. It may be called again after it failed, or was killed. It can be cancelled until the
 *   server is stopped: then it goes on to its end.
 */
export async function reset(
  tools: Tools,
  request: ResetRequest,
  signal: AbortSignal,
): Promise<ResetReport> {
  const { runtime, clock } = tools;
  const startMs = clock.monotonicMs();
  const container = await findStarted(runtime, request, signal);
  if (!container) throw await notStarted(runtime, request);
  const { scope, name } = request;
  const run = runLabels(container.labels[runLabel] ?? '');
  const labels = { ...purposeLabels('resetting'), ...nameLabels(scope, name), ...run };
  const note = await noteAtWork(runtime, container, labels);
  try {
    const volumes = await putBack(tools, container, request, signal);
    const seconds = secondsSince(clock, startMs);
    return { name, container: container.id, volumes, seconds };
  } finally {
    await runtime.removeVolume(note);
  }
}

/**
 * Does once more what was cut off. Undefined where there is no such database any more.
 * @param note of a reset
 */
export async function resetAgain(
  tools: Tools,
  note: VolumeInfo,
  waitTimeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { runtime } = tools;
  const [scope = '', name = ''] = [note.labels[scopeLabel], note.labels[nameLabel]];
  const container = await findStarted(runtime, { scope, name }, signal);
  if (container) await putBack(tools, container, { scope, name, waitTimeoutMs }, signal);
  await runtime.removeVolume(note.name);
  return container && `reset the database ${name}, which had been cut off`;
}

const never = new AbortController().signal;

/**
 * What was written is thrown away: the server need not write down the rest of it.
 * @returns the volumes
 */
async function putBack(
  tools: Tools,
  container: ContainerState,
  { name, waitTimeoutMs }: ResetRequest,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { runtime } = tools;
  const { id } = container;
  const source = await readStarted(runtime, container, { name, key: '' }, signal);
  await requireGolden(runtime, source, signal);
  const { volumes, image, engine, endpoint } = source;
  signal.throwIfAborted();
  if (container.paused) await runtime.unpauseContainer(id);
  if (container.running) await runtime.stopContainer(id, 0);
  // From here on there is no data until it is new: nothing could be undone, so that it is not to be cancelled.
  await Promise.all(volumes.map((volume) => resetClone(tools, volume, image.id, never)));
  await startAgain(tools, container, engine.readiness(endpoint), waitTimeoutMs);
  return volumes.map(({ volume }) => volume);
}
