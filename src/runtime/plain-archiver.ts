import type { Readable, Writable } from 'node:stream';

import type { Compression, ExpectedArchive, WrittenArchive } from './volume-copier.ts';

/** What an archive for others can be. */
export const plainFormats = ['tar', 'tar.gz', 'tar.zst'] as const;
export type PlainFormat = (typeof plainFormats)[number];

/** An archive that any program may have made: tar, plain or compressed with gzip or zstd. */
export interface ArchiveSource {
  /** For people. */
  readonly label: string;
  /** Path of a regular file; or a stream, which can be read once. */
  readonly from: string | Readable;
}

/** Which folder of an archive becomes the root of a volume. Folders are as people write them: `/data`, `./data`, `data`. */
export type Strip =
  /**
   * The root of the archive where it has an entry; else the folder whose entry everything else is in; else the innermost
   * folder that everything is in. The source must be a file: it is read twice.
   */
  | { readonly kind: 'auto' }
  /** `others` become the roots of other volumes: an entry belongs to the innermost of them that it is in. */
  | { readonly kind: 'folder'; readonly folder: string; readonly others: readonly string[] };

export interface TakenArchive extends WrittenArchive {
  /** The folder that became the root, without slashes around it; empty for the root of the archive. */
  readonly folder: string;
  /** Where that folder was, if the archive was made as `tar` makes one of an absolute path. */
  readonly absolutePath: string | undefined;
  /** Entries that were in the folder, and elsewhere. */
  readonly taken: number;
  readonly leftOut: number;
  /** What was left out or made up, in words: one line each. */
  readonly notes: readonly string[];
}

export type OutputTarget =
  | { readonly kind: 'file'; readonly file: string; readonly replace: boolean }
  | { readonly kind: 'stream'; readonly stream: Writable };

/** Where an archive is written to. Disposing of a file that was not finished leaves nothing of it. */
export interface ArchiveOutput extends AsyncDisposable {
  readonly label: string;
  readonly stream: Writable;
  /** Whether it stays open after the archive. */
  readonly isShared: boolean;
  /** Everything was written, and is right: the file gets its name. */
  finish(): Promise<void>;
}

export interface PlainArchive {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * Plain archives, as `tar` and `docker cp` make and read them, into the archives of snapshots and back.
 *
 * What must hold:
 * - Of an archive that is cut off, damaged, no tar, or with paths that lead out of it, nothing is kept: `copy-failed`.
 *   One that is not there, or of another compression, is `invalid-settings`.
 * - Owners, modes, times, attributes, ACLs, holes, links, and names of any bytes come through.
 * - Memory does not grow with the archive.
 */
export interface PlainArchiver {
  /** @throws `invalid-settings` where there is no such file */
  open(file: string): Promise<ArchiveSource>;
  /** A copy of a source in `file`, which can be read several times. */
  keep(source: ArchiveSource, file: string, signal: AbortSignal): Promise<ArchiveSource>;
  /** @throws `copy-failed`; `invalid-settings` where nothing is in the folder */
  take(
    source: ArchiveSource,
    strip: Strip,
    archiveFile: string,
    compression: Compression,
    signal: AbortSignal,
  ): Promise<TakenArchive>;

  /** @throws `name-taken` for a file that is there and is not to be replaced; `invalid-settings`, `copy-failed` */
  create(target: OutputTarget): Promise<ArchiveOutput>;
  /**
   * Writes an archive of a snapshot with `folder` in front of every path; `.` for paths that begin with `./`. Every tar
   * understands it. What was written is right only when this resolves. @throws `snapshot-corrupt`, `copy-failed`
   */
  write(
    archiveFile: string,
    expected: ExpectedArchive,
    folder: string,
    format: PlainFormat,
    output: ArchiveOutput,
    signal: AbortSignal,
  ): Promise<PlainArchive>;
}
