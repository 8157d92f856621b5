import { AppError } from '../errors.ts';
import { goldenLabel } from '../runtime/labels.ts';
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
    if (!(error instanceof CloneUnavailable)) throw error;
    if (settings.reset === 'auto') {
      tools.log.info(`A reset and clones will not be possible: ${error.message}`);
      return plan.volumes;
    }
    throw new AppError('invalid-settings', `reset: ${error.message}`, {
      cause: error,
      hint: 'Set "reset" to "auto", or to "off" where the database is not reset',
    });
  }
}

/** @throws `invalid-settings` for a database whose golden volumes are not there */
export async function requireGolden(
  runtime: ContainerRuntime,
  { name, volumes }: Pick<StartedSource, 'name' | 'volumes'>,
  signal: AbortSignal,
): Promise<void> {
  const golden = volumes.map(({ labels }) => labels[goldenLabel]);
  const found = await Promise.all(
    golden.map(async (volume) => volume !== undefined && runtime.findVolume(volume, signal)),
  );
  if (found.length > 0 && found.every(Boolean)) return;
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
