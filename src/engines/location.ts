import { longestPrefix } from '../paths.ts';
import type { ImageFacts } from '../runtime/runtime.ts';
import type { DataLocation } from './engine.ts';

/** The volume that the image declares for this folder, or for one above it; else the folder itself becomes one. */
export function locationOf(
  { volumes }: Pick<ImageFacts, 'volumes'>,
  dataPath: string,
): DataLocation {
  return { dataPath, mountPath: longestPrefix(volumes, dataPath) ?? dataPath };
}
