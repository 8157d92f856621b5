import { isOnPath, type PathStep } from '../usecases/critical-path.ts';
import type { Phase } from '../usecases/phases.ts';

/** Below it, seconds on the axis have three figures after the point. */
const longMs = 10_000;

/**
 * A chart of the phases in a fence of Markdown, its axis in seconds since the start. Grey is what ran beside the critical
 * path, red what was in vain. It holds no text but ours. https://mermaid.js.org/syntax/gantt.html
 */
export function gantt(phases: readonly Phase[], path: readonly PathStep[]): string {
  if (phases.length === 0) return '';
  const totalMs = Math.max(...phases.map((phase) => (phase.startSeconds + phase.seconds) * 1000));
  // Of one without a length there would be no bar.
  const shortestMs = Math.max(1, totalMs / 200);
  const lines = phases
    .toSorted((a, b) => a.startSeconds - b.startSeconds)
    .map((phase) => {
      const { name, startSeconds, seconds, inVain } = phase;
      const mark = inVain ? 'crit, ' : isOnPath(path, phase) ? '' : 'done, ';
      const startMs = startSeconds * 1000;
      const endMs = startMs + Math.max(shortestMs, seconds * 1000);
      return `  ${name} ${seconds.toFixed(1)} s :${mark}${startMs.toFixed(0)}, ${endMs.toFixed(0)}`;
    });
  return [
    '```mermaid',
    'gantt',
    '  dateFormat x',
    // Of Unix time, which is the same in all time zones, other than minutes and hours.
    `  axisFormat ${totalMs >= longMs ? '%s s' : '%s.%L s'}`,
    '  todayMarker off',
    ...lines,
    '```',
  ].join('\n');
}
