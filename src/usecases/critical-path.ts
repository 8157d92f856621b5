import type { Phase, PhaseName } from './phases.ts';

/** A part of the time that a `start` took. `other` is what lies between the phases. */
export interface PathStep {
  readonly name: PhaseName | 'other';
  readonly seconds: number;
}

/**
 * What `totalSeconds` were spent on, in order: back from the end, each time through the phase that ended last, cut where
 * the next one began. Whatever ran beside these took no time of its own.
 */
export function criticalPath(phases: readonly Phase[], totalSeconds: number): readonly PathStep[] {
  const spans = phases
    .map(({ name, startSeconds, seconds }) => {
      const startMs = toMs(startSeconds);
      return { name, startMs, endMs: startMs + toMs(seconds) };
    })
    .filter(({ startMs, endMs }) => endMs > startMs)
    .sort((a, b) => b.endMs - a.endMs || a.startMs - b.startMs);
  const steps: PathStep[] = [];
  let untilMs = toMs(totalSeconds);
  let otherMs = 0;
  for (const { name, startMs, endMs } of spans) {
    // What goes on beside the next one counts as far as it was alone.
    const cutMs = Math.min(endMs, untilMs);
    if (cutMs <= startMs) continue;
    otherMs += untilMs - cutMs;
    steps.unshift({ name, seconds: (cutMs - startMs) / 1000 });
    untilMs = startMs;
  }
  otherMs += untilMs;
  return otherMs > 0 ? [...steps, { name: 'other', seconds: otherMs / 1000 }] : steps;
}

/** Whether it is one of the steps, or too short for one; else it ran beside them. */
export function isOnPath(path: readonly PathStep[], { name, seconds }: Phase): boolean {
  return seconds === 0 || path.some((step) => step.name === name && step.seconds <= seconds);
}

/** `3.4 s: search 0.4, restore 2.1, ready 0.7, other 0.1`; what would be 0.0 is left out. */
export function describePath(path: readonly PathStep[], totalSeconds: number): string {
  const steps = path.map(({ name, seconds }) => ({ name, shown: seconds.toFixed(1) }));
  const shown = steps.filter((step) => step.shown !== '0.0');
  return [
    `${totalSeconds.toFixed(1)} s`,
    shown.map((step) => `${step.name} ${step.shown}`).join(', '),
  ]
    .filter((part) => part !== '')
    .join(': ');
}

/** Sums of fractions would not meet where one phase ends and the next begins. */
function toMs(seconds: number): number {
  return Math.round(seconds * 1000);
}
