import type { Endpoint } from '../engines/engine.ts';
import type { KeyParts } from '../snapshot/key.ts';

/** What became of saving. `skipped` and `failed` say why. */
export type SaveOutcome =
  | { readonly kind: 'saved' | 'already-there' }
  | { readonly kind: 'skipped' | 'failed'; readonly reason: string };

/** What `start` did. Outputs, the job summary and `--json` are views of it. */
export interface StartReport {
  /** `base`: a snapshot of a restore key, with the seed run on top. */
  readonly outcome: 'hit' | 'miss' | 'base';
  /** Why there was no exact hit. */
  readonly missReason: string | undefined;
  readonly key: string;
  readonly keyParts: KeyParts;
  readonly matchedKey: string | undefined;
  readonly store: string;
  readonly name: string;
  readonly engine: string;
  readonly image: string;
  readonly container: string;
  readonly volume: string;
  readonly endpoint: Endpoint;
  readonly url: string;
  readonly snapshot: { readonly digest: string; readonly sizeBytes: number } | undefined;
  readonly save: SaveOutcome;
  readonly seconds: Seconds;
}

/** Seconds per phase; a phase that did not happen is absent. */
export interface Seconds {
  /** Looking the snapshot up and loading it. */
  search?: number;
  /** From the bundle to a filled, verified volume. */
  restore?: number;
  /** From creating the container to the first true answer (init files included on a miss). */
  ready?: number;
  seed?: number;
  check?: number;
  /** Stopping, copying, starting again. */
  snapshot?: number;
  /** Carrying the bundle to the store. */
  save?: number;
  total?: number;
}
