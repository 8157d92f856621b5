import { posix } from 'node:path';

import { longestPrefix } from '../paths.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';
import type { LeftOut } from '../snapshot/manifest.ts';
import { dataReader, type DataSource } from './probes.ts';

/** What need not be copied of a database that has shut down: paths below its data folder. */
export async function findWorthless(
  runtime: ContainerRuntime,
  source: Pick<DataSource, 'id' | 'engine' | 'dataPath'>,
  { mounts }: Pick<ContainerState, 'mounts'>,
): Promise<readonly LeftOut[]> {
  const { engine, dataPath } = source;
  // Where a part of the data folder is another volume, its own holds there what the server does not see.
  const isWhole = mounts.every(
    ({ target }) => target === dataPath || longestPrefix([dataPath], target) === undefined,
  );
  if (!engine.worthless || !isWhole) return [];
  return engine.worthless(dataReader(runtime, source));
}

/** Characters that mean themselves in every pattern. */
const plainPath = /^[\w./-]*$/;

/** The same as paths below the root of the volume at `mountPath`; none where that is not the one with the data folder. */
export function belowRoot(
  worthless: readonly LeftOut[],
  dataPath: string,
  mountPaths: readonly string[],
  mountPath: string,
): LeftOut[] {
  const folder = posix.relative(mountPath, dataPath);
  if (longestPrefix(mountPaths, dataPath) !== mountPath || !plainPath.test(folder)) return [];
  return worthless.map(({ pattern, reason }) => ({ pattern: posix.join(folder, pattern), reason }));
}
