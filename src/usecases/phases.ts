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
] as const;
export type PhaseName = (typeof phaseNames)[number];

/** One phase, in seconds since the start. */
export interface Phase {
  readonly name: PhaseName;
  readonly startSeconds: number;
  readonly seconds: number;
}

/** How long each phase took; one that did not happen is absent. `total`: all of it. */
export type Seconds = Readonly<Partial<Record<PhaseName, number>> & { total: number }>;

/** Measures the phases of one `start`. */
export interface Phases {
  timed<T>(name: PhaseName, work: () => Promise<T>): Promise<T>;
  /** Takes out what was in vain. */
  forget(name: PhaseName): void;
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
        phases.push({ name, startSeconds, seconds: secondsSince(clock, phaseMs) });
      }
    },
    forget(name) {
      phases = phases.filter((phase) => phase.name !== name);
    },
    list: () => [...phases],
    // Of one that came twice, the last counts.
    seconds: () => ({
      ...Object.fromEntries(phases.map(({ name, seconds }) => [name, seconds])),
      total: secondsSince(clock, startMs),
    }),
  };
}
