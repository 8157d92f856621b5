import { AppError } from '../errors.ts';
import type { ContainerRuntime, Mount } from './runtime.ts';
import type { CloneTarget } from './volume-cloner.ts';

/** The engine makes a volume that is mounted and not there, empty. @throws `copy-failed` */
export async function requireGoldenVolume(
  runtime: ContainerRuntime,
  { golden }: CloneTarget,
  signal: AbortSignal,
): Promise<void> {
  if (await runtime.findVolume(golden, signal)) return;
  throw new AppError('copy-failed', `there is no volume ${golden}`);
}

/** Of a golden volume, a clone or what belongs to it: nothing is put into it by the engine. */
export const mountOf = (source: string, target: string, readOnly: boolean): Mount => ({
  ...{ type: 'volume', source, target, readOnly, noCopy: true },
});
