import { secondsSince, type Clock } from '../clock.ts';

/** What a `start` is made of. Phases may overlap. */
export const phaseNames = [
  /** Having the image: pulling it, where it is not there. */
  'image',
  /** Looking the snapshot up and loading it. */
  'search',
  /** From the bundle to a filled, verified volume. */
  'restore',
  /** From creating the container to the first true answer (init files included on a miss). */
  'ready',
  'seed',
  'check',
  /** Stopping, copying, starting again. */
  'snapshot',
  /** Carrying the bundle to the store. */
  'save',
  /** Until all clones serve. */
  'clones',
] as const;
export type PhaseName = (typeof phaseNames)[number];

/** One phase, in seconds since the start. */
export interface Phase {
  readonly name: PhaseName;
  readonly startSeconds: number;
  readonly seconds: number;
  /** It led to nothing, as the restore of a snapshot that could not be used. */
  readonly inVain: boolean;
}

/** How long each phase took; one that did not happen, or was in vain, is absent. `total`: all of it. */
export type Seconds = Readonly<Partial<Record<PhaseName, number>> & { total: number }>;

/** Measures the phases of one `start`. */
export interface Phases {
  timed<T>(name: PhaseName, work: () => Promise<T>): Promise<T>;
  /** What was measured under these names until now was in vain. */
  discard(...names: readonly PhaseName[]): void;
  /** In the order in which they ended. */
  list(): readonly Phase[];
  seconds(): Seconds;
}

export function measurePhases(clock: Clock): Phases {
  const startMs = clock.monotonicMs();
  let phases: Phase[] = [];
  return {
    async timed(name, work) {
      const startSeconds = secondsSince(clock, startMs);
      const phaseMs = clock.monotonicMs();
      try {
        return await work();
      } finally {
        const seconds = secondsSince(clock, phaseMs);
        phases.push({ name, startSeconds, seconds, inVain: false });
      }
    },
    discard(...names) {
      phases = phases.map((phase) =>
        names.includes(phase.name) ? { ...phase, inVain: true } : phase,
      );
    },
    list: () => [...phases],
    // Of one that came twice, the last counts.
    seconds: () => ({
      ...Object.fromEntries(
        phases.filter(({ inVain }) => !inVain).map(({ name, seconds }) => [name, seconds]),
      ),
      total: secondsSince(clock, startMs),
    }),
  };
}
