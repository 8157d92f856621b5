import { cloneMethodLabel, goldenLabel } from '../runtime/labels.ts';
import type { Labels } from '../runtime/runtime.ts';
import {
  CloneUnavailable,
  type CloneMethod,
  type CloneTarget,
  type VolumeCloner,
} from '../runtime/volume-cloner.ts';
import type { Tools } from './context.ts';
import type { PlannedVolume } from './plan.ts';

/** `auto`: the best way that works. */
export type CloneChoice = CloneMethod | 'auto';

/**
 * Volumes for a database to write to, each a clone of one that stays as it is.
 * @param nameOf what the clone of a volume is called
 * @throws CloneUnavailable where no way works here; `copy-failed`. The clones are then removed again
 */
export async function cloneVolumes(
  tools: Tools,
  volumes: readonly PlannedVolume[],
  nameOf: (golden: PlannedVolume) => string,
  image: string,
  choice: CloneChoice,
  signal: AbortSignal,
): Promise<readonly PlannedVolume[]> {
  const made = await Promise.allSettled(
    volumes.map(async (planned): Promise<PlannedVolume> => {
      const { volume: golden, labels } = planned;
      const target = { golden, clone: nameOf(planned), image, labels };
      return { ...planned, ...(await cloneVolume(tools, target, choice, signal)) };
    }),
  );
  const failed = made.find((each) => each.status === 'rejected');
  const clones = made.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  if (!failed) return clones;
  const undo = clones.map(async ({ volume, labels }) =>
    clonerOf(tools.cloners, labels)?.remove({ clone: volume }),
  );
  await Promise.allSettled(undo);
  throw failed.reason;
}

async function cloneVolume(
  { cloners, log }: Tools,
  wanted: CloneTarget,
  choice: CloneChoice,
  signal: AbortSignal,
): Promise<Pick<PlannedVolume, 'volume' | 'labels'>> {
  const reasons: string[] = [];
  for (const cloner of cloners) {
    const { method } = cloner;
    if (choice !== 'auto' && choice !== method) continue;
    const target = targetOf(wanted, method);
    try {
      await cloner.create(target, signal);
      log.debug(`${target.clone} is made of ${target.golden} (${method})`);
      return { volume: target.clone, labels: target.labels };
    } catch (error) {
      if (!(error instanceof CloneUnavailable)) throw error;
      reasons.push(`${method}: ${error.message}`);
    }
  }
  throw new CloneUnavailable(reasons.join('; '));
}

function targetOf({ golden, clone, image, labels }: CloneTarget, method: CloneMethod): CloneTarget {
  return {
    ...{ golden, clone, image },
    labels: { ...labels, [goldenLabel]: golden, [cloneMethodLabel]: method },
  };
}

/** Puts a clone back to what it was made of, by its labels. Nothing may run on it. */
export async function resetClone(
  { cloners }: Tools,
  { volume, labels }: PlannedVolume,
  image: string,
  signal: AbortSignal,
): Promise<void> {
  const cloner = clonerOf(cloners, labels);
  const golden = labels[goldenLabel];
  if (golden === undefined || !cloner) throw new Error(`${volume} is no clone`);
  await cloner.reset(targetOf({ golden, clone: volume, image, labels }, cloner.method), signal);
}

export const isClone = ({ labels }: Pick<PlannedVolume, 'labels'>): boolean =>
  labels[goldenLabel] !== undefined;

const clonerOf = (cloners: readonly VolumeCloner[], labels: Labels) =>
  cloners.find(({ method }) => method === labels[cloneMethodLabel]);
