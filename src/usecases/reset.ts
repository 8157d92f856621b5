import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { thisProcess } from '../process-identity.ts';
import {
  makerLabel,
  nameLabel,
  ownLabels,
  runLabel,
  runLabels,
  withPurpose,
  type Owner,
} from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState, VolumeInfo } from '../runtime/runtime.ts';
import { withAftermath } from '../aftermath.ts';
import type { Tools } from './context.ts';
import { startAgain } from './go-on.ts';
import { requireGolden } from './golden.ts';
import { notStarted, requireStarted } from './started.ts';
import { readStarted } from './started-source.ts';
import { requireNotStarting } from './starting.ts';
import { noteAtWork } from './suspension.ts';
import { stopCommand } from './orchestrators.ts';
import type { PlannedVolume } from './plan.ts';
import { resetClone } from './volume-clones.ts';
import { storagesAt, uses } from './writers.ts';

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
 *   resets, saves, starts or stops it; `volume-taken` while another container has its data; `container-unhealthy`. It may
 *   be called again after it failed, or was killed. It can be cancelled until the server is stopped: then it goes on to
 *   its end.
 */
export async function reset(
  tools: Tools,
  request: ResetRequest,
  signal: AbortSignal,
): Promise<ResetReport> {
  const { runtime, clock, log } = tools;
  const startMs = clock.monotonicMs();
  const { name } = request;
  const found = await requireStarted(runtime, request, signal);
  const note = await noteAtWork(runtime, found, withPurpose(ownLabels(found), 'resetting'));
  return withAftermath(
    log,
    async () => {
      await requireNotStarting(runtime, found, signal);
      // Only now: another process may have been at it until then.
      const container = await runtime.inspectContainer(found.id, signal);
      if (!container) throw await notStarted(runtime, request);
      const volumes = await putBack(tools, container, request, signal);
      return { name, container: container.id, volumes, seconds: secondsSince(clock, startMs) };
    },
    () => runtime.removeVolume(note),
  );
}

/**
 * Does once more what was cut off. Undefined where there is no such database any more, or another process does it.
 * @param note of a reset
 */
export async function resetAgain(
  tools: Tools,
  note: VolumeInfo,
  waitTimeoutMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { runtime, log } = tools;
  const ownNote = await takeOver(runtime, note);
  if (ownNote === undefined) return undefined;
  const { [nameLabel]: name = '', [runLabel]: run = '' } = note.labels;
  return withAftermath(
    log,
    async () => {
      const ofRun = { ...runLabels(run), [nameLabel]: name };
      const [container] = await runtime.listContainers(withPurpose(ofRun, 'database'), signal);
      if (container) await putBack(tools, container, { name, waitTimeoutMs }, signal);
      for (const done of takenOver(note.name)) await runtime.removeVolume(done);
      return container && `reset the database ${name}, which had been cut off`;
    },
    () => runtime.removeVolume(ownNote),
  );
}

const again = '-again';

/**
 * Several commands may find the same note at once, and one that stops a server under the hands of another would leave no
 * whole data. A new note, which one of them can make, is as good as the old one when this process is killed, too.
 */
async function takeOver(
  runtime: ContainerRuntime,
  { name, labels }: VolumeInfo,
): Promise<string | undefined> {
  const ownNote = `${name}${again}`;
  try {
    await runtime.createVolume(ownNote, { ...labels, [makerLabel]: thisProcess() });
  } catch (error) {
    if (error instanceof AppError && error.code === 'volume-taken') return undefined;
    throw error;
  }
  const now = await runtime.findVolume(name);
  if (now && now.labels[makerLabel] === labels[makerLabel]) return ownNote;
  await runtime.removeVolume(ownNote); // it was done meanwhile
  return undefined;
}

/** The note, and those that it had taken over. */
function takenOver(note: string): string[] {
  return note.endsWith(again) ? [...takenOver(note.slice(0, -again.length)), note] : [note];
}

const never = new AbortController().signal;

/**
 * What was written is thrown away: the server need not write down the rest of it.
 * @returns the volumes
 */
async function putBack(
  tools: Tools,
  container: ContainerState,
  { name, waitTimeoutMs }: Pick<ResetRequest, 'name' | 'waitTimeoutMs'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { runtime } = tools;
  const { id } = container;
  const source = await readStarted(tools, container, { name, key: '' }, signal);
  await requireGolden(runtime, source, signal);
  const { volumes, image, engine, endpoint } = source;
  await requireUnshared(runtime, { id, name }, volumes, signal);
  signal.throwIfAborted();
  if (container.paused) await runtime.unpauseContainer(id);
  if (container.running) await runtime.stopContainer(id, 0);
  // From here on there is no data until it is new: nothing could be undone, so that it is not to be cancelled.
  const resetting = volumes.map((volume) => resetClone(tools, volume, image.id, never));
  await Promise.allSettled(resetting);
  await Promise.all(resetting);
  const mountPaths = volumes.map(({ mountPath }) => mountPath);
  const company = { storages: storagesAt(container, mountPaths), others: [] };
  await startAgain(tools, container, company, engine.readiness(endpoint), waitTimeoutMs);
  return volumes.map(({ volume }) => volume);
}

/** What is mounted elsewhere, too, is not mounted anew: the server would be given what was there before. */
async function requireUnshared(
  runtime: ContainerRuntime,
  { id, name }: Pick<ContainerState, 'id' | 'name'>,
  volumes: readonly PlannedVolume[],
  signal: AbortSignal,
): Promise<void> {
  const storages = volumes.map(({ volume }) => ({ type: 'volume', source: volume }) as const);
  const other = (await runtime.listContainers({}, signal)).find(
    (each) => each.running && each.id !== id && uses(each, storages),
  );
  if (!other) return;
  throw new AppError('volume-taken', `the container ${other.name} uses the data of ${name}`, {
    hint: `Stop it first: "${stopCommand(other)}"`,
  });
}
