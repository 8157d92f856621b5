import { AppError } from '../errors.ts';
import { thisProcess } from '../process-identity.ts';
import { makerLabel, purposeLabels, workLabel, workOf } from '../runtime/labels.ts';
import type {
  ContainerRuntime,
  ContainerState,
  Labels,
  RestartPolicy,
  VolumeInfo,
} from '../runtime/runtime.ts';
import { withAftermath } from '../aftermath.ts';
import type { Tools } from './context.ts';
import type { Company } from './writers.ts';

/**
 * What must be undone to a container that is stopped or paused for a copy. It is noted before the container is touched, so
 * that it is found again when this process is killed: as labels of an empty volume, which the engine keeps as long as
 * the containers themselves, and makes and removes in one step.
 */
export interface Suspension {
  readonly container: string;
  readonly name: string;
  readonly how: 'stop' | 'pause';
  readonly startedAt: string;
  /** Those that were suspended later go on first. */
  readonly order: number;
  /** How long its program may take to end. */
  readonly graceMs: number;
  /** Who may run beside it when it goes on. */
  readonly company: Company;
  /** It is switched off meanwhile; absent where it was not on, or need not be. */
  readonly restartPolicy?: RestartPolicy;
}

/**
 * Runs `work`, which may stop or pause the container, and then `goOn`, whatever happened. Only when the container goes
 * on is the suspension forgotten.
 * @throws `name-taken` when somebody else has suspended this container; what `goOn` throws, else what `work` throws
 */
export async function whileSuspended<T>(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  suspension: Suspension,
  work: () => Promise<T>,
  goOn: () => Promise<void>,
): Promise<T> {
  const volume = await note(runtime, suspension);
  const { container, restartPolicy } = suspension;
  return withAftermath(
    log,
    async () => {
      // A program that ends by itself, as it is told to, would be started again in the middle of the copy.
      if (restartPolicy) await runtime.setRestartPolicy(container, never);
      return work();
    },
    async () => {
      await goOn();
      // Only now: the engine must not start one by itself that had to stay stopped.
      if (restartPolicy) await restoreRestartPolicy(runtime, container, restartPolicy);
      await runtime.removeVolume(volume);
    },
    'after', // a container that is down is worse than a copy that failed
  );
}

/** Where it was not changed, the engine is not asked to change it back: with a full disk it could not. */
async function restoreRestartPolicy(
  runtime: ContainerRuntime,
  id: string,
  wanted: RestartPolicy,
): Promise<void> {
  const now = (await runtime.inspectContainer(id))?.restartPolicy;
  if (now?.name === wanted.name && now.maximumRetryCount === wanted.maximumRetryCount) return;
  await runtime.setRestartPolicy(id, wanted);
}

const never: RestartPolicy = { name: 'no', maximumRetryCount: 0 };

function note(runtime: ContainerRuntime, suspension: Suspension): Promise<string> {
  const { container: id, name } = suspension;
  const labels = { ...purposeLabels('suspended'), [workLabel]: JSON.stringify(suspension) };
  return noteAtWork(runtime, { id, name }, labels);
}

/** What must not be saved and reset at the same time. */
type Subject = Pick<ContainerState, 'id' | 'name'>;

/** One name for each container: whoever comes second is refused. */
const noteName = ({ id }: Subject): string => `snapvol-suspended-${id.slice(0, 12)}`;

/**
 * Notes in the engine that this process is at the container.
 * @param labels for `recover`, should this process be killed: what it was at
 * @returns the volume to remove when it is done
 * @throws `name-taken` when somebody else is at it
 */
export async function noteAtWork(
  runtime: ContainerRuntime,
  subject: Subject,
  labels: Labels,
): Promise<string> {
  const volume = noteName(subject);
  try {
    await runtime.createVolume(volume, { ...labels, [makerLabel]: thisProcess() });
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'volume-taken') throw error;
    throw beingAtWork(subject, error);
  }
  return volume;
}

/**
 * Copies what a container has written that is left as it is: it does not run, or is to run on.
 * @throws `name-taken` when somebody else is at it
 */
export async function whileNotReset<T>(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  subject: Subject,
  copy: () => Promise<T>,
): Promise<T> {
  const note = await noteAtWork(runtime, subject, purposeLabels('saving'));
  return withAftermath(log, copy, () => runtime.removeVolume(note));
}

function beingAtWork({ name }: Subject, cause?: unknown): AppError {
  return new AppError(
    'name-taken',
    `the container ${name} is being saved or reset by another process`,
    {
      cause,
      hint: 'Wait for it; when there is none any more, run "snapvol recover --force"',
    },
  );
}

export function readSuspension(note: VolumeInfo): Suspension {
  return workOf(note) as Suspension; // written by `note`; labels of a volume never change
}

/** @param selfEnding its program is told to end: the engine must not start it again by itself */
export function suspensionOf(
  { id, name, startedAt, restartPolicy }: ContainerState,
  { how, order, graceMs, company }: Pick<Suspension, 'how' | 'order' | 'graceMs' | 'company'>,
  selfEnding: boolean,
): Suspension {
  const switchOff = how === 'stop' && selfEnding && restartPolicy.name !== 'no';
  return {
    ...{ container: id, name, startedAt, how, order, graceMs, company },
    ...(switchOff && { restartPolicy }),
  };
}
