import { AppError } from '../errors.ts';
import { CloneUnavailable } from '../runtime/volume-cloner.ts';
import { cloneVolumes } from './volume-clones.ts';
import type { PlannedVolume } from './plan.ts';
import type { Run } from './run.ts';

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
