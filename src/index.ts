/**
 * snapvol as a library: the use cases behind the action and the command-line tool, typed.
 *
 * ```ts
 * const settings = parseSettings({ image: 'postgres:17', port: '0' }, { defaultStore: 'file:/var/cache/snapvol' });
 * const around = { log: silentLog, tempDir: tmpdir(), cwd: process.cwd(), env: process.env, outputFd: 2 } as const;
 * await using composed = await composeStoreTools(around, settings.copy, settings.store);
 * const owner = { run: randomUUID(), name: settings.name, scope: 'my-tests' };
 * const who = { owner, provenance: {}, cwd: around.cwd, untrusted: undefined };
 * const { url } = await start(composed.tools, settings, who, signal);
 * // ...
 * await stop(composed.tools, owner);
 * ```
 *
 * Every failure is an {@link AppError} with a code. Every long operation takes an AbortSignal; when it fires, what the
 * operation made is removed and it rejects. Nothing happens at import.
 */
import type { Log } from './log.ts';

export { AppError, type ErrorCode, type ErrorContext } from './errors.ts';
export type { Log, Progress } from './log.ts';
export { version } from './version.ts';

export { inputNames, parseSettings } from './settings.ts';
export type { CopySettings, InputName, RawInputs, Settings } from './settings.ts';
export type { SettingsContext } from './store-settings.ts';
export { parseStore, type StoreLocation } from './stores/location.ts';

export {
  composeArchiveTools,
  composeSnapshotTools,
  composeStore,
  composeStoreTools,
  composeTools,
} from './compose.ts';
export type { Composition, SecretTexts, Surroundings } from './compose.ts';
export type {
  ArchiveTools,
  RunIdentity,
  SnapshotTools,
  StoreTools,
  Tools,
} from './usecases/context.ts';
export type { Owner } from './runtime/labels.ts';
export { isReplaceable } from './stores/store.ts';
export type {
  Entry,
  Found,
  ListableStore,
  Lookup,
  ReplaceableStore,
  SnapshotStore,
} from './stores/store.ts';

export { start } from './usecases/start.ts';
export type { PathStep } from './usecases/critical-path.ts';
export type { SavedSnapshot, SaveSeconds } from './usecases/destination.ts';
export type {
  ClonedDatabase,
  ReportedSnapshot,
  SaveOutcome,
  StartReport,
} from './usecases/report.ts';
export type { Savings } from './usecases/savings.ts';
export type { Phase, PhaseName, Seconds } from './usecases/phases.ts';
export { requireNameFree } from './usecases/started.ts';
export { stop } from './usecases/stop.ts';
export type { Removed } from './usecases/remove.ts';
export { reset, type ResetReport, type ResetRequest } from './usecases/reset.ts';
export { clone, type CloneReport, type CloneRequest } from './usecases/clone.ts';
export { save, type SaveReport, type SaveRequest } from './usecases/save.ts';
export {
  saveVolumes,
  type SavedVolume,
  type SaveVolumesReport,
  type SaveVolumesRequest,
} from './usecases/save-volumes.ts';
export { recover, type RecoverReport, type RecoverRequest } from './usecases/recover.ts';
export {
  restore,
  type RestoredVolume,
  type RestoreReport,
  type RestoreRequest,
} from './usecases/restore.ts';
export {
  importArchive,
  type ImportedVolume,
  type ImportReport,
  type ImportRequest,
  type VolumeChoice,
} from './usecases/import.ts';
export { exportVolume, type ExportReport, type ExportRequest } from './usecases/export.ts';
export { plainFormats, type OutputTarget, type PlainFormat } from './runtime/plain-archiver.ts';
export {
  findSnapshot,
  inspectSnapshot,
  listSnapshots,
  removeSnapshot,
  type SnapshotDetails,
  type SnapshotSummary,
} from './usecases/stored.ts';
export {
  verifySnapshot,
  verifySnapshots,
  type Problem,
  type Verdict,
  type VerifyAllReport,
  type VerifyReport,
  type VerifyRequest,
  type WholeSnapshot,
} from './usecases/verify.ts';
export {
  pruneSnapshots,
  type PrunedSnapshot,
  type PruneReport,
  type PruneRequest,
} from './usecases/prune.ts';
export type { Guard, KeepReason, RetentionRule, RetentionRules } from './snapshot/retention.ts';
export type { Sample } from './snapshot/sample.ts';

export { versionedKey } from './snapshot/key.ts';
export type {
  DatabaseManifest,
  KeyPart,
  LargeTable,
  Manifest,
  VolumesManifest,
} from './snapshot/manifest.ts';

/** Says nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  group: (_, work) => work(),
  progress: () => undefined,
  mask: () => undefined,
};
