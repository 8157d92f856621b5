import { AppError } from '../errors.ts';
import { copyLabels } from '../runtime/labels.ts';
import type { Tools } from './context.ts';

/** Images for the containers that copy, and the one that was made for it, which goes when they are disposed of. */
export interface HelperImages extends AsyncDisposable {
  /**
   * The first of `candidates` that is here or can be pulled. Without one, an image with nothing in it: it does for
   * copying through the archive API, and for nothing else.
   * @param suggested by a snapshot, which anybody may have made: taken after the candidates, and only if it is here
   */
  choose(candidates: readonly (string | undefined)[], suggested?: string | null): Promise<string>;
}

/** @param task unique for each run */
export function helperImages(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  task: string,
  signal: AbortSignal,
): HelperImages {
  const empty = `snapvol-empty:${task}`;
  let isMade = false;
  const usable = new Map<string, boolean>();

  async function isUsable(reference: string): Promise<boolean> {
    const known = usable.get(reference);
    if (known !== undefined) return known;
    let found = true;
    try {
      await runtime.ensureImage(reference, signal, () => {
        log.info(`pulling ${reference}`);
      });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'image-unavailable') throw error;
      log.info(`${error.message}: copying goes on without it`);
      found = false;
    }
    usable.set(reference, found);
    return found;
  }

  return {
    async choose(candidates, suggested) {
      for (const candidate of candidates) {
        if (candidate && (await isUsable(candidate))) return candidate;
      }
      if (suggested && (await runtime.hasImage(suggested, signal))) return suggested;
      if (!isMade) await runtime.importEmptyImage(empty, copyLabels({}));
      isMade = true;
      return empty;
    },
    async [Symbol.asyncDispose]() {
      if (isMade) await runtime.removeImage(empty);
    },
  };
}
