import { Transform, type TransformCallback } from 'node:stream';

import type { PaxRecord } from './tar-extension.ts';
import { headBlocks } from './tar-head.ts';
import { inPosix, newHeader } from './tar-header.ts';
import { requireNothingForAll } from './tar-one-meaning.ts';
import { isFolder, pathOf, shownName, unusable } from './tar-path.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';
import { aliasOf, checkMap, paxMap, readOldMap } from './tar-sparse.ts';

/** A new path for one as `pathOf` gives it, without a slash at its end; `undefined` leaves the entry out. */
export type Rename = (path: string) => string | undefined;

/** Of a volume's root folder, in the archives of snapshots. */
export const rootPath = '.';

export interface RenameOptions {
  /** See `TarReaderOptions`. */
  readonly foreign: boolean;
  /** Whether a root folder is made up where the stream does not begin with one. */
  readonly makeRoot: boolean;
}

/**
 * Gives the entries of a tar stream other paths. Hard links lead to the new ones, symlinks stay as they are, and so
 * does everything else, byte for byte, but for the form of names (see `headBlocks`) and for files with holes in GNU's
 * old format, which come out in its newer one: Docker does not unpack the old one.
 *
 * Order and duplicates stay: the last one wins, as ever.
 */
export class TarRename extends Transform {
  /** Entries that went through, and that were left out. */
  kept = 0;
  leftOut = 0;
  /** Whether a root folder of the stream's own went through. */
  hasRoot = false;
  /** Whether paths are written as those below a current folder: `./a`. */
  isRelative = false;
  readonly #rename: Rename;
  readonly #makeRoot: boolean;
  readonly #reader: TarReader;
  #output: Buffer[] = [];

  constructor(rename: Rename, { foreign, makeRoot }: RenameOptions) {
    super({ highWaterMark: 1024 * 1024 });
    this.#rename = rename;
    this.#makeRoot = makeRoot;
    const emit = (part: Buffer): void => {
      this.#output.push(part);
    };
    this.#reader = new TarReader(
      { entry: (entry) => this.#takeEntry(entry), content: emit, endBlock: emit },
      { foreign },
    );
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#reader.read(chunk);
      const output = Buffer.concat(this.#output);
      this.#output = [];
      if (output.length > 0) done(null, output);
      else done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#reader.end();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #takeEntry(entry: TarEntry): 'take' | 'skip' {
    requireNothingForAll(entry);
    const oldName = entry.sparseName ?? entry.name;
    const path = pathOf(oldName);
    const newPath = this.#rename(path);
    if (newPath === undefined) {
      this.leftOut += 1;
      // What is said of all entries is said of those to come.
      const forAll = entry.extensions.filter(({ type }) => type === 'g');
      this.#output.push(...forAll.flatMap(({ blocks }) => blocks));
      return 'skip';
    }
    this.isRelative ||= /^\.(\/|$)/.test(oldName);
    if (this.#makeRoot) this.#takeRoot(entry, newPath);
    this.kept += 1;
    this.#output.push(...this.#head(entry, newPath));
    return 'take';
  }

  /** The first entry is the root folder: where the stream's own is not, another one comes before it. */
  #takeRoot(entry: TarEntry, newPath: string): void {
    if (newPath === rootPath) {
      if (!isFolder(entry)) {
        throw unusable(`${shownName(entry.name)} is no folder: it cannot be the root of a volume`);
      }
      this.hasRoot = true;
    } else if (this.kept === 0) {
      this.#output.push(newHeader({ name: `${rootPath}/`, type: '5', mode: 0o755 }));
    }
  }

  #head(entry: TarEntry, newPath: string): Buffer[] {
    const { type, sparseName } = entry;
    if (isFolder(entry)) {
      return headBlocks(entry, {
        name: `${newPath}/`,
        ...(type !== '5' && { fields: { type: '5' } }),
      });
    }
    if (type === '1') return headBlocks(entry, { name: newPath, linkName: this.#target(entry) });
    if (type === 'S') return sparseHead(entry, newPath);
    if (sparseName === undefined) return headBlocks(entry, { name: newPath });
    const rename = (record: PaxRecord): PaxRecord =>
      record.key === 'GNU.sparse.name' ? { ...record, value: newPath } : record;
    return headBlocks(entry, {
      name: aliasOf(newPath),
      records: (records) => records.map(rename),
    });
  }

  #target({ name, linkName }: TarEntry): string {
    const newTarget = this.#rename(pathOf(linkName));
    if (newTarget !== undefined) return newTarget;
    throw unusable(
      `the hard link ${shownName(name)} leads to ${shownName(linkName)}, which is left out`,
    );
  }
}

/** In GNU's newer format: the map of what is no hole is in front of the data. */
function sparseHead(entry: TarEntry, name: string): Buffer[] {
  const map = readOldMap(entry.header, entry.continuation);
  checkMap(map, entry.contentBytes);
  const content = paxMap(map);
  const head = headBlocks(entry, {
    name: aliasOf(name),
    header: inPosix(entry.header),
    fields: { type: '0', sizeBytes: content.length + entry.contentBytes },
    records: (records) => [
      ...records.filter(({ key }) => key !== 'size'),
      { key: 'GNU.sparse.major', value: '1' },
      { key: 'GNU.sparse.minor', value: '0' },
      { key: 'GNU.sparse.name', value: name },
      { key: 'GNU.sparse.realsize', value: String(map.realBytes) },
    ],
  });
  return [...head, content];
}
