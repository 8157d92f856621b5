import { AppError, messageOf } from '../errors.ts';
import { stateOf } from '../process-identity.ts';
import { makerLabel, nameLabel, purposeLabels, runLabel, type Purpose } from '../runtime/labels.ts';
import type { ContainerState, VolumeInfo } from '../runtime/runtime.ts';
import type { Tools } from './context.ts';
import { startAgain } from './go-on.ts';
import { shutDown } from './quiesce.ts';
import { removeRun } from './remove.ts';
import { resetAgain } from './reset.ts';
import { finish, isCommitted, readRestoring, rollBack } from './restoring.ts';
import { readSuspension, type Suspension } from './suspension.ts';
import { describeWriter, refuseBesideNew } from './writers.ts';

export interface RecoverRequest {
  /** Also what was left by processes that cannot be looked for from here. */
  readonly force: boolean;
  readonly waitTimeoutMs: number;
}

/** What was repaired, one line each: for people. Empty when there was nothing to do. */
export interface RecoverReport {
  readonly repaired: readonly string[];
  /** What was left alone: its process may live, but not here. */
  readonly left: readonly string[];
  /** What could not be repaired, and why. It stays noted. */
  readonly failed: readonly string[];
}

/**
 * Repairs what killed processes have left: containers that they had stopped or paused go on, restores that were not done
 * are undone, or gone on with when all was verified; databases that did not serve yet are removed, and helper containers.
 * Nothing else is touched, nor what a living process is at.
 */
export async function recover(
  tools: Tools,
  { force, waitTimeoutMs }: RecoverRequest,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { runtime } = tools;
  const report = { repaired: [] as string[], left: [] as string[], failed: [] as string[] };
  const isOrphan = (labels: Readonly<Record<string, string>>, what: string): boolean => {
    const state = stateOf(labels[makerLabel] ?? '');
    if (state === 'elsewhere' && !force) report.left.push(what);
    return state === 'dead' || (state === 'elsewhere' && force);
  };
  /** One thing on its own: what it fails with stops nothing else, unless no engine answers. */
  const attempt = async <T>(what: string, work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      signal.throwIfAborted();
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AppError && error.code === 'docker-unreachable') throw error;
      report.failed.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const mend = async (what: string, work: () => Promise<string | undefined>): Promise<void> => {
    const done = await attempt(what, work);
    if (done !== undefined) report.repaired.push(done);
  };
  const notes = async (purpose: Purpose): Promise<readonly VolumeInfo[]> =>
    (await attempt(`the notes of what was ${purpose}`, () =>
      runtime.listVolumes(purposeLabels(purpose), signal),
    )) ?? [];
  /** Those that can be read. */
  const works = async <T>(purpose: Purpose, workIn: (note: VolumeInfo) => T) => {
    const readable: { readonly note: VolumeInfo; readonly work: T }[] = [];
    for (const note of await notes(purpose)) {
      const work = await attempt(`the volume ${note.name}`, () => workIn(note));
      if (work !== undefined) readable.push({ note, work });
    }
    return readable;
  };

  const helpers = await attempt('helper containers', () =>
    runtime.listContainers(purposeLabels('copy'), signal),
  );
  for (const { id, name, labels } of helpers ?? []) {
    // Without a maker it is one of another version.
    if (labels[makerLabel] === undefined || !isOrphan(labels, `the helper container ${name}`))
      continue;
    await mend(name, async () => {
      await runtime.removeContainer(id);
      return `removed the helper container ${name}`;
    });
  }
  const images = await attempt('empty images', () =>
    runtime.listImages(purposeLabels('copy'), signal),
  );
  for (const { reference, labels } of images ?? []) {
    if (!isOrphan(labels, `the image ${reference}`)) continue;
    await mend(reference, async () => {
      await runtime.removeImage(reference);
      return `removed the empty image ${reference}`;
    });
  }

  const suspended = (await works('suspended', readSuspension))
    .filter(({ note, work: { name } }) => isOrphan(note.labels, `the container ${name}`))
    .sort((a, b) => b.work.order - a.work.order);
  for (const { note, work: suspension } of suspended) {
    await mend(`the container ${suspension.name}`, () =>
      goOn(tools, note, suspension, waitTimeoutMs, signal),
    );
  }

  for (const { note, work: restoring } of await works('restoring', readRestoring)) {
    const what = `the restore ${restoring.task}`;
    if (!isOrphan(note.labels, what)) continue;
    await mend(what, async () => {
      const committed = await isCommitted(runtime, restoring);
      // Another one may have gone on with it, and forgotten the note first: then nothing may be undone.
      if (!committed && !(await runtime.findVolume(note.name, signal))) return undefined;
      await (committed ? finish(tools, restoring) : rollBack(tools, restoring));
      return `${committed ? 'went on with' : 'undid'} a restore that was cut off`;
    });
  }

  for (const note of await notes('resetting')) {
    const what = `the reset of ${note.labels[nameLabel] ?? ''}`;
    if (!isOrphan(note.labels, what)) continue;
    await mend(what, () => resetAgain(tools, note, waitTimeoutMs, signal));
  }

  for (const { name, labels } of await notes('saving')) {
    if (!isOrphan(labels, `the note of a save ${name}`)) continue;
    // Nothing was changed for it.
    await mend(name, () => runtime.removeVolume(name).then(() => undefined));
  }

  for (const { labels } of await notes('starting')) {
    const what = `the start of ${labels[nameLabel] ?? ''}`;
    if (!isOrphan(labels, what)) continue;
    await mend(what, async () => {
      const { containers, volumes } = await removeRun(runtime, labels[runLabel] ?? '');
      const made = [...containers, ...volumes];
      // Another one may have removed it meanwhile.
      if (made.length === 0) return undefined;
      return `removed what ${what} had made before it was cut off: ${made.join(', ')}`;
    });
  }
  // Its note is gone: all of it was done.
  for (const { name, labels } of await notes('committed')) {
    await mend(name, async () => {
      const noted = await runtime.findVolume(name.replace('committed', 'restoring'), signal);
      if (!noted && stateOf(labels[makerLabel] ?? '') === 'dead') await runtime.removeVolume(name);
      return undefined;
    });
  }
  return report;
}

async function goOn(
  tools: Tools,
  note: VolumeInfo,
  suspension: Suspension,
  waitTimeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const { runtime } = tools;
  const { container: id, name, how, startedAt, restartPolicy, company } = suspension;
  const state = await runtime.inspectContainer(id, signal);
  if (state) {
    if (how === 'stop' && state.running && !state.paused && state.startedAt === startedAt) {
      await refuseBesideNew(runtime, state, company, 'running');
      await endIfTold(tools, state, suspension, signal);
    }
    await startAgain(tools, { ...state, health: 'none' }, company, undefined, waitTimeoutMs);
    if (restartPolicy) await runtime.setRestartPolicy(id, restartPolicy);
  }
  await runtime.removeVolume(note.name);
  if (!state) return `the container ${name} had been stopped for a copy, and was removed since`;
  return state.running && !state.paused
    ? `the container ${name} runs`
    : `the container ${name} runs again, which was ${state.paused ? 'paused' : 'stopped'} for a copy`;
}

/**
 * It may have been told to stop, and not have ended yet; nobody can see that. So it is told once more, in the way that is
 * right for it.
 */
async function endIfTold(
  { runtime, log }: Tools,
  state: ContainerState,
  { graceMs }: Suspension,
  signal: AbortSignal,
): Promise<void> {
  const storages = state.mounts.map(({ type, source }) => ({ type, source }));
  try {
    const { target } = await describeWriter(runtime, state, storages, {}, signal);
    await shutDown(runtime, target, graceMs);
  } catch (error) {
    signal.throwIfAborted();
    log.debug(`${state.name}: ${messageOf(error)}`);
  }
}

const ownWaitTimeoutMs = 120_000;

/** Before another command does its work: what was repaired is a warning, as somebody may have missed it. */
export async function repair(tools: Tools, signal: AbortSignal): Promise<void> {
  const request = { force: false, waitTimeoutMs: ownWaitTimeoutMs };
  const { repaired, left, failed } = await recover(tools, request, signal);
  for (const line of repaired) tools.log.warn(`repaired after a process that was killed: ${line}`);
  for (const line of failed) tools.log.warn(`could not be repaired: ${line}`);
  for (const line of left) {
    tools.log.info(
      `left alone, a process elsewhere may be at it: ${line} ("snapvol recover --force")`,
    );
  }
}
