import { AppError } from '../errors.ts';
import type { ContainerRuntime, VolumeInfo } from './runtime.ts';
import type { CloneTarget } from './volume-cloner.ts';

/** The engine makes a volume that is mounted and not there, empty. @throws `copy-failed` */
export async function requireGolden(
  runtime: ContainerRuntime,
  { golden }: CloneTarget,
  signal: AbortSignal,
): Promise<VolumeInfo> {
  const found = await runtime.findVolume(golden, signal);
  if (!found) throw new AppError('copy-failed', `there is no volume ${golden}`);
  return found;
}
