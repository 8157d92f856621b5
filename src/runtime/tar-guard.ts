import type { AppError } from '../errors.ts';
import { tooLarge } from '../snapshot/max-size.ts';
import { PathTable } from './path-table.ts';
import { damaged } from './stream-errors.ts';
import { recordsOf } from './tar-head.ts';
import { requireOneMeaning } from './tar-one-meaning.ts';
import { isFolder, pathOf, shownName, unusable } from './tar-path.ts';
import type { TarEntry } from './tar-reader.ts';
import { readPaxSparse } from './tar-sparse.ts';

/** As PATH_MAX of Linux. */
const nameLimitBytes = 4096;

/** What an archive may make at most. */
export interface GuardLimits {
  readonly entries: number;
  /** Of the tar stream. */
  readonly tarBytes: number;
  /** Of the tar stream with all holes of files written out, as the archive API does. */
  readonly unpackedBytes: number;
}

const kinds = { folder: 1, file: 2, symlink: 3 } as const;

/**
 * Looks at each entry on its way into a volume: nothing may lead out of it, on any tar. The helper container holds
 * whatever gets past this; here it has a clear error, before it is written.
 */
export class TarGuard {
  readonly #limits: GuardLimits;
  readonly #kinds = new PathTable();
  /** The last folder that was found to be one: entries mostly come folder by folder. */
  #folder = '';
  #entries = 0;
  #holeBytes = 0;

  constructor(limits: GuardLimits) {
    this.#limits = limits;
  }

  /** Of files, beyond what the stream has of them. */
  get holeBytes(): number {
    return this.#holeBytes;
  }

  /** To be told how much of the stream has come: not only at its end, for a small archive can unpack to more than any disk holds. @throws `snapshot-corrupt` */
  checkLength(bytes: number): void {
    if (bytes > this.#limits.tarBytes) throw damaged('it unpacks to more than its manifest says');
  }

  /** @throws `snapshot-corrupt` naming the entry; `snapshot-incompatible` where it makes more than was permitted */
  check(entry: TarEntry): void {
    const { type, linkName, sparseName: name = entry.name } = entry;
    this.#entries += 1;
    if (this.#entries > this.#limits.entries)
      throw damaged('it has more entries than its manifest says');
    if (Math.max(name.length, entry.name.length) > nameLimitBytes)
      throw refused(name.slice(0, 100), `has a name of more than ${nameLimitBytes} bytes`);
    if ('346'.includes(type)) throw refused(name, 'is a device node or FIFO');
    requireOneMeaning(entry);
    const kind = type === '1' ? this.#targetKind(name, linkName) : kindOf(entry);
    if (entry.sparseName !== undefined) innerPath(entry.name, name); // for who does not know of holes
    this.#take(innerPath(name, name), kind, name);
    this.#countHoles(entry);
  }

  /** Of one that is there already: a further name of a folder, or of what another program has put there, is none. */
  #targetKind(name: string, linkName: string): number {
    const target = innerPath(linkName, name);
    this.#requireFolders(target, name);
    const kind = this.#kinds.get(target);
    if (kind === kinds.file || kind === kinds.symlink) return kind;
    throw refused(name, `is a hard link to ${shownName(linkName)}, which is no file before it`);
  }

  #take(path: string, kind: number, name: string): void {
    if (path === '') {
      if (kind !== kinds.folder) throw refused(name, 'stands for the root folder, and is none');
      return;
    }
    this.#requireFolders(path, name);
    // The same once more is what appending to an archive makes: the last one counts.
    if (this.#kinds.add(path, kind) !== kind)
      throw refused(name, 'is there twice, as different things');
    if (kind !== kinds.folder && `${this.#folder}/`.startsWith(`${path}/`)) this.#folder = '';
  }

  /** Folders without an entry are made by who unpacks: only what the archive itself has made is in the way. */
  #requireFolders(path: string, name: string): void {
    const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (folder === this.#folder) return;
    for (let end = folder.indexOf('/'); ; end = folder.indexOf('/', end + 1)) {
      const part = end === -1 ? folder : folder.slice(0, end);
      const kind = part === '' ? kinds.folder : this.#kinds.get(part);
      if (kind !== undefined && kind !== kinds.folder)
        throw refused(name, `goes through ${shownName(part)}, which is no folder`);
      if (end === -1) break;
    }
    this.#folder = folder;
  }

  #countHoles(entry: TarEntry): void {
    if (!entry.features.includes('sparse')) return;
    const { realBytes } = readPaxSparse(recordsOf(entry));
    this.#holeBytes += Math.max(0, realBytes - entry.contentBytes);
    const { tarBytes, unpackedBytes } = this.#limits;
    if (tarBytes + this.#holeBytes > unpackedBytes)
      throw tooLarge(
        `the archive, with ${shownName(entry.sparseName ?? entry.name)},`,
        unpackedBytes,
      );
  }
}

function kindOf(entry: TarEntry): number {
  if (isFolder(entry)) return kinds.folder;
  return entry.type === '2' ? kinds.symlink : kinds.file;
}

/** As `pathOf`, of what stays below the folder that it is relative to. `name`: of the entry that it is said of. */
function innerPath(path: string, name: string): string {
  if (path === '') throw refused(name, 'has no name');
  if (path.length > nameLimitBytes)
    throw refused(name, `leads to a path of more than ${nameLimitBytes} bytes`);
  if (path.startsWith('/')) throw refused(name, `has the absolute path ${shownName(path)}`);
  if (path.includes('..') && path.split('/').includes('..'))
    throw refused(name, `has the path ${shownName(path)}, with ".."`);
  return pathOf(path);
}

function refused(name: string, problem: string): AppError {
  return unusable(`the archive is not safe to unpack: ${shownName(name)} ${problem}`);
}
