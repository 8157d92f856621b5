/** Waits for nothing to happen. */
export interface SilenceWatch extends Disposable {
  /** Fires when nothing was heard for so long. */
  readonly signal: AbortSignal;
  /** Something has happened: the time begins anew. */
  heard(): void;
}

/** For how long nothing of a copy may arrive. Its last step may be to write all that is in memory to a slow disk. */
export const silenceMs = 300_000;

export function watchForSilence(limitMs: number): SilenceWatch {
  const silent = new AbortController();
  const timer = setTimeout(() => {
    silent.abort();
  }, limitMs);
  return {
    signal: silent.signal,
    heard() {
      timer.refresh();
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
    },
  };
}
