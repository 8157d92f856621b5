import { formatBytes } from '../format.ts';
import type { Progress } from '../log.ts';

/** How often the line on a terminal is written anew. */
const terminalPauseMs = 100;
/** How often a log that is only read later gets a line; a copy that takes less gets none. */
const plainPauseMs = 5000;

/** `saving shop-data: 120 MB of 400 MB (30 %), 210 MB/s` */
export function formatProgress({ label, bytes, totalBytes }: Progress, elapsedMs: number): string {
  const done =
    totalBytes === undefined || totalBytes === 0
      ? formatBytes(bytes)
      : `${formatBytes(bytes)} of ${formatBytes(totalBytes)} (${Math.floor((100 * bytes) / totalBytes)} %)`;
  const speed = elapsedMs > 0 ? `, ${formatBytes((bytes * 1000) / elapsedMs)}/s` : '';
  return `${label}: ${done}${speed}`;
}

/** Decides which of many reports become a line. */
export class ProgressMeter {
  readonly #pauseMs: number;
  readonly #isTerminal: boolean;
  #label = '';
  #startMs = 0;
  #shownMs = 0;

  constructor(isTerminal: boolean) {
    this.#isTerminal = isTerminal;
    this.#pauseMs = isTerminal ? terminalPauseMs : plainPauseMs;
  }

  /** The line to show now, `undefined` when it is too early for another one. */
  next(progress: Progress, nowMs: number): string | undefined {
    if (progress.label !== this.#label) {
      this.#label = progress.label;
      this.#startMs = nowMs;
      this.#shownMs = nowMs;
    }
    const finished = this.#isTerminal && progress.bytes === progress.totalBytes;
    if (nowMs - this.#shownMs < this.#pauseMs && !finished) return undefined;
    this.#shownMs = nowMs;
    return formatProgress(progress, nowMs - this.#startMs);
  }
}
