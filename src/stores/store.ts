/** What a look-up found. Only the store that made it may load it. */
export interface Found {
  readonly key: string;
  /** True when `key` is the primary key itself, to the letter. */
  readonly exact: boolean;
  /**
   * Where the store has found it, for the store itself, if not where `save` puts snapshots: the key may be free there.
   * Other stores know one place only, and leave it out.
   */
  readonly source?: string;
}

/** One stored snapshot, as far as the store can tell without loading it. */
export interface Entry {
  readonly key: string;
  readonly sizeBytes: number;
  readonly createdAtMs: number;
}

export interface Lookup {
  readonly primary: string;
  /** Prefixes for a base snapshot, in order of preference; the newest match of the first that has one wins. */
  readonly prefixes: readonly string[];
}

/**
 * Where bundles live. A store carries a bundle folder (flat, regular files only) as it is; it does not read it.
 *
 * What must hold, for every implementation:
 * - A snapshot is whole or absent. What is saved under a key never changes, unless it is replaced.
 * - `find` prefers the exact key, then the prefixes in order. An absent snapshot is `undefined`, never an error.
 * - `load` fills an existing, empty `bundleDir`, or returns `false` when the snapshot has gone since `find` and the
 *   folder is then empty again, as after every failure. It may deliver damaged bytes (the network does): readers verify SHA256SUMS.
 * - `save` does not touch `bundleDir` and may be called again with it after a failure.
 * - A service that does not answer, refuses, or fails is an AppError `store-unavailable` with the reason as far as it
 *   can be known, and with `retryAfterMs` where another try may go better.
 * - When the signal fires it ends soon, as `cancelled`, whatever it waits for.
 */
export interface SnapshotStore {
  readonly name: string;
  find(lookup: Lookup, signal: AbortSignal): Promise<Found | undefined>;
  load(found: Found, bundleDir: string, signal: AbortSignal): Promise<boolean>;
  save(key: string, bundleDir: string, signal: AbortSignal): Promise<'saved' | 'already-there'>;
}

/** A store that can also be looked through and tidied: folders can, GitHub's cache service cannot. */
export interface ListableStore extends SnapshotStore {
  /** Newest first. */
  list(signal: AbortSignal): Promise<readonly Entry[]>;
  /** The bytes of one file of a snapshot, `undefined` where there is none. For manifests. */
  readFile(key: string, fileName: string, signal: AbortSignal): Promise<Buffer | undefined>;
  /** `false` when there is no such snapshot. */
  remove(key: string, signal: AbortSignal): Promise<boolean>;
}

/** A store whose snapshots can be replaced by new ones. GitHub's cache cannot: an entry never changes. */
export interface ReplaceableStore extends SnapshotStore {
  /**
   * Afterwards `key` has exactly this snapshot, whether it had one before or not. Who reads meanwhile gets the old one,
   * the new one, or none where the service cannot swap; never a mixture. Of several that replace one key at once, one
   * is the last. A failure leaves the old one, or none where the service cannot swap: then try again.
   * Otherwise as `save`.
   */
  replace(key: string, bundleDir: string, signal: AbortSignal): Promise<void>;
}

export function isReplaceable(store: SnapshotStore): store is ReplaceableStore {
  return 'replace' in store;
}

export function isListable(store: SnapshotStore): store is ListableStore {
  return 'list' in store && 'remove' in store;
}
