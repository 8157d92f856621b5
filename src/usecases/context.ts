import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Owner } from '../runtime/labels.ts';
import type { PlainArchiver } from '../runtime/plain-archiver.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import type { RunScript } from '../runtime/script.ts';
import type { VolumeCloner } from '../runtime/volume-cloner.ts';
import type { VolumeCopier } from '../runtime/volume-copier.ts';
import type { SnapshotStore } from '../stores/store.ts';

/** What the use cases work with. Put together in compose.ts, or from fakes in unit tests. */
export interface Tools {
  readonly runtime: ContainerRuntime;
  readonly copier: VolumeCopier;
  /** The ways to clone a volume, the best first. */
  readonly cloners: readonly VolumeCloner[];
  readonly runScript: RunScript;
  readonly log: Log;
  readonly clock: Clock;
  /** An existing folder for this run alone; whoever made it removes it. */
  readonly scratchDir: string;
}

export interface StoreTools extends Tools {
  readonly store: SnapshotStore;
  /**
   * Moves the folder of a bundle to a process that saves it after this one has ended; somebody must wait for that one.
   * When it rejects, the bundle is where it was.
   */
  readonly handOver?: (key: string, bundleDir: string) => Promise<void>;
}

/** For what only looks at stored snapshots: no container engine is needed. */
export type SnapshotTools = Pick<StoreTools, 'store' | 'log' | 'clock' | 'scratchDir'>;

/** For archives of other programs, in and out of snapshots: no container engine either. */
export type ArchiveTools = SnapshotTools & { readonly archiver: PlainArchiver };

/** Who runs, for labels and for the manifest. */
export interface RunIdentity {
  readonly owner: Owner;
  /** True: `start` refuses a name that a started database of its scope has. */
  readonly uniqueName?: boolean;
  /** Repository, ref, sha, run, event: whatever says where a snapshot comes from. */
  readonly provenance: Readonly<Record<string, string>>;
  /** Key files and init files are relative to it. */
  readonly cwd: string;
  /** Why snapshots of this run should not be trusted by others; `save: auto` then does not save. */
  readonly untrusted: string | undefined;
}
