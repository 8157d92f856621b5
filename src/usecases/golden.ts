import { AppError, messageOf } from '../errors.ts';
import { cloneOfRunLabel, goldenLabel, runLabel } from '../runtime/labels.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import { CloneUnavailable } from '../runtime/volume-cloner.ts';
import { cloneVolumes } from './volume-clones.ts';
import type { PlannedVolume } from './plan.ts';
import type { Run } from './run.ts';
import type { StartedSource } from './started-source.ts';

/**
 * What the database is to write to: clones of the planned volumes, which then are golden, or these themselves.
 * @throws `invalid-settings` where the way that is asked for does not work here
 */
export async function liveVolumes(run: Run): Promise<readonly PlannedVolume[]> {
  const { tools, plan, settings, signal } = run;
  if (settings.reset === 'off') return plan.volumes;
  const nameOf = ({ volume }: PlannedVolume): string => `${volume}-live`;
  try {
    const { id } = plan.image;
    return await cloneVolumes(tools, plan.volumes, nameOf, id, settings.reset, signal);
  } catch (error) {
    const { reset } = settings;
    if (reset === 'auto' && (error instanceof CloneUnavailable || isCopyFailed(error))) {
      tools.log.info(`A reset and clones will not be possible: ${messageOf(error)}`);
      return plan.volumes;
    }
    if (!(error instanceof CloneUnavailable)) throw error;
    throw new AppError('invalid-settings', `reset: ${error.message}`, {
      cause: error,
      hint: 'Set "reset" to "auto", or to "off" where the database is not reset',
    });
  }
}

const isCopyFailed = (error: unknown): boolean =>
  error instanceof AppError && error.code === 'copy-failed';

/** @throws `invalid-settings` for a database whose golden volumes are not there */
export async function requireGolden(
  runtime: ContainerRuntime,
  { name, volumes }: Pick<StartedSource, 'name' | 'volumes'>,
  signal: AbortSignal,
): Promise<void> {
  const kept = await Promise.all(
    volumes.map(async ({ labels }) => {
      const golden = labels[goldenLabel];
      const found = golden !== undefined && (await runtime.findVolume(golden, signal));
      // One that was removed, and mounted since, is there again: empty, and without labels.
      return found && found.labels[runLabel] === (labels[cloneOfRunLabel] ?? labels[runLabel]);
    }),
  );
  if (kept.length > 0 && kept.every(Boolean)) return;
  throw new AppError(
    'invalid-settings',
    `nothing is kept that ${name} could be put back to, or cloned from`,
    {
      hint:
        'It was started with "reset" set to "off", or seeded with "quiesce" set to "pause" or "none"; or no way to make ' +
        'clones works here, as the log of its start then says; or "docker volume prune" has removed it. Stop it and ' +
        'start it again',
    },
  );
}
