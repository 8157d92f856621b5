import type { Endpoint } from '../engines/engine.ts';
import type { KeyParts } from '../snapshot/key.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { DatabaseManifest, LargeTable } from '../snapshot/manifest.ts';
import type { PathStep } from './critical-path.ts';
import { describeSaved, type SavedSnapshot } from './destination.ts';
import type { Phase, Seconds } from './phases.ts';
import type { Savings } from './savings.ts';

/** What became of saving. `skipped` and `failed` say why; `uploading`: another process is at it. */
export type SaveOutcome =
  | { readonly kind: 'saved' | 'already-there' | 'uploading' }
  | { readonly kind: 'skipped' | 'failed'; readonly reason: string };

/** A snapshot that was restored or saved. */
export interface ReportedSnapshot extends SavedSnapshot {
  /** What an empty database, and then the seed, took when it was made. `null` where no seed had run. */
  readonly initSeconds: number | null;
  readonly seedSeconds: number | null;
  /** The largest first. Empty where the engine does not tell. */
  readonly largestTables: readonly LargeTable[];
}

/** Reads the sizes of the bundle's files: it must still be there. */
export async function reportSnapshot(bundle: Bundle<DatabaseManifest>): Promise<ReportedSnapshot> {
  const { engine, initSeconds, seedSeconds } = bundle.manifest;
  return {
    ...(await describeSaved(bundle)),
    ...{ initSeconds, seedSeconds, largestTables: engine.largestTables },
  };
}

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
  readonly snapshot: ReportedSnapshot | undefined;
  readonly save: SaveOutcome;
  readonly phases: readonly Phase[];
  readonly seconds: Seconds;
  readonly criticalPath: readonly PathStep[];
  /** Of a hit whose snapshot tells what its seeding took. */
  readonly savings: Savings | undefined;
  readonly clones: readonly ClonedDatabase[];
}

/** A database of its own, made from the same snapshot. */
export interface ClonedDatabase {
  readonly name: string;
  readonly container: string;
  readonly endpoint: Endpoint;
  readonly url: string;
}
