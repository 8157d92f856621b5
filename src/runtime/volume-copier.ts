import type { ArchiveFeature, LeftOut } from '../snapshot/manifest.ts';
import type { Labels, Mount } from './runtime.ts';

export const copyMethods = ['pipe', 'archive'] as const;
/** `pipe`: the image's own GNU tar through a FIFO. `archive`: the Engine's archive API. */
export type CopyMethod = (typeof copyMethods)[number];

/** A volume, or a folder of the engine's host. */
export type Storage = Pick<Mount, 'type' | 'source'>;

/** What is copied or filled, and which image to run or create the helper container from. */
export interface CopyTarget {
  readonly storage: Storage;
  /** The folder in it that is filled instead of all of it, by its relative path. It must be there. */
  readonly folder?: string;
  /** What is not saved of it. */
  readonly leaveOut?: readonly LeftOut[];
  readonly image: string;
  /** Put on the helper container, so that it can be found and removed. */
  readonly labels: Labels;
}

/** An archive file as written. */
export interface WrittenArchive {
  /** Bytes and sha256 of the file as stored (compressed). */
  readonly archiveBytes: number;
  readonly sha256: string;
  /** Bytes of the tar stream. */
  readonly tarBytes: number;
  /** Number of files, folders and links. */
  readonly entries: number;
  /** What a reader of this tar must understand. */
  readonly features: readonly ArchiveFeature[];
}

/** What kind of things a volume holds, for who must judge whether that can be all. */
export interface VolumeContents {
  /** Regular files, not counting further hard links. */
  readonly files: number;
  /** Symlinks that may lead out of the volume: absolute ones, and relative ones that climb above its root. */
  readonly farLinks: readonly FarLink[];
}

export interface FarLink {
  /** Relative to the volume's root. */
  readonly path: string;
  readonly target: string;
}

export interface SavedArchive extends WrittenArchive {
  readonly method: CopyMethod;
  readonly contents: VolumeContents;
  /** What was left out or not kept, in words: one line each. */
  readonly notes: readonly string[];
}

/** What the archive must turn out to be; from the manifest. */
export interface ExpectedArchive extends WrittenArchive {
  readonly compression: Compression['kind'];
}

export interface RestoredArchive {
  readonly method: CopyMethod;
  /** Of the tar stream, with all holes of files written out, as the archive API does. */
  readonly unpackedBytes: number;
}

/**
 * Copies whole volumes, or folders of the host, to archive files and back.
 *
 * What must hold, for every implementation:
 * - The volume is one that exists and that nothing writes to; saving mounts it read-only.
 * - The same tree gives the same bytes.
 * - Owners (numbers), modes, hard links, symlinks, empty folders, names of any bytes and times (to the second) survive,
 *   the root folder's own owner and mode included. What else was not kept is in `notes`.
 * - Saving leaves out what the target says, by every way the same. A file of which that would leave a part of its names
 *   only is saved whole under the others, or makes it throw `copy-failed`.
 * - `restore` fills an empty volume, or an empty folder of one, and returns only when the archive was exactly the expected one and all of it was
 *   written; otherwise it throws `snapshot-corrupt` (wrong bytes, or an archive that is not safe to unpack),
 *   `snapshot-incompatible` (more than `maxBytes`, holes counted) or `copy-failed`, and the caller throws the volume away.
 * - No container and no scratch file is left behind, whatever happens.
 */
export interface VolumeCopier {
  save(
    target: CopyTarget,
    archiveFile: string,
    compression: Compression,
    signal: AbortSignal,
  ): Promise<SavedArchive>;
  restore(
    target: CopyTarget,
    archiveFile: string,
    expected: ExpectedArchive,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<RestoredArchive>;
}

/** With level `auto`, what the cores of this machine do as quickly as a disk is read. */
export type Compression =
  { readonly kind: 'none' } | { readonly kind: 'zstd'; readonly level: number | 'auto' };
