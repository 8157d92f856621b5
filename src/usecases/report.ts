import type { Endpoint } from '../engines/engine.ts';
import type { KeyParts } from '../snapshot/key.ts';
import type { Phase, Seconds } from './phases.ts';

/** What became of saving. `skipped` and `failed` say why; `uploading`: another process is at it. */
export type SaveOutcome =
  | { readonly kind: 'saved' | 'already-there' | 'uploading' }
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
  readonly phases: readonly Phase[];
  readonly seconds: Seconds;
}
