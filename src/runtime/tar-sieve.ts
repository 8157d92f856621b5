import { posix } from 'node:path';

import { AppError } from '../errors.ts';
import type { ArchiveFeature, LeftOut } from '../snapshot/manifest.ts';
import { matcherOf } from './path-pattern.ts';
import { PathTable } from './path-table.ts';
import type { TarGuard } from './tar-guard.ts';
import { headBlocks } from './tar-head.ts';
import { shownName } from './tar-path.ts';
import { blocksOf, TarReader, type TarEntry } from './tar-reader.ts';
import type { FarLink, VolumeContents } from './volume-copier.ts';

/** How many left-out names a note shows. */
const shownNames = 5;

/** More of them are not looked at one by one; a single one is enough to judge. */
const farLinksLimit = 1000;

/** What went through, complete when the stream has ended. */
export interface TarSummary {
  /** Bytes let through, the end mark included. */
  readonly tarBytes: number;
  readonly entries: number;
  readonly features: readonly ArchiveFeature[];
  /** What was left out, in words; none where nothing was. */
  readonly notes: readonly string[];
  readonly contents: VolumeContents;
}

/** A part of memory. */
interface Piece {
  readonly buffer: ArrayBufferLike;
  readonly start: number;
  end: number;
}

const noPiece: Piece = { buffer: new ArrayBuffer(), start: 0, end: 0 };

export interface TarSieveOptions {
  /** Refuses entries of what comes from outside. */
  readonly guard?: TarGuard;
  /** False where FIFOs and devices have no business any more, and are left to the guard. */
  readonly dropsNodes?: boolean;
  /** Entries that are of no use, and what is below them. */
  readonly leaveOut?: readonly LeftOut[];
}

/**
 * Lets a tar stream through, chunk by chunk, unchanged but for a few things, and proves it whole while doing so:
 * - FIFOs and devices are left out: a database makes its own, and a device node has no business in test data.
 * - So is what is of no use, where somebody says what that is.
 * - Padding after the end mark is cut off, so that the bytes do not depend on the writer's record size.
 * - A stream that ends before its end mark, or that is not tar, is an error.
 */
export class TarSieve {
  /** Bytes read so far, those that were left out too. */
  inputBytes = 0;
  readonly #features = new Set<ArchiveFeature>();
  readonly #guard: TarGuard | undefined;
  readonly #dropsNodes: boolean;
  readonly #isUseless: (path: string) => boolean;
  readonly #useless = new PathTable();
  /** What was left out: a further hard link to it cannot be kept either. */
  readonly #dropped = new PathTable();
  readonly #shown: string[] = [];
  /** Header blocks of the root folder, extended headers first; empty where it has no entry. Only the last has a name. */
  root: readonly Buffer[] = [];
  #files = 0;
  readonly #farLinks: FarLink[] = [];
  #tarBytes = 0;
  #entries = 0;
  readonly #reader: TarReader;
  #output: Buffer[] = [];
  /** Of the output, still growing. */
  #piece: Piece = noPiece;

  constructor({ guard, dropsNodes = true, leaveOut = [] }: TarSieveOptions = {}) {
    this.#guard = guard;
    this.#dropsNodes = dropsNodes;
    this.#isUseless = matcherOf(leaveOut);
    this.#reader = new TarReader({
      entry: (entry) => this.#takeEntry(entry),
      content: (part) => {
        this.#emit(part);
      },
      endBlock: (block) => {
        this.#emit(block);
      },
    });
  }

  get summary(): TarSummary {
    return {
      tarBytes: this.#tarBytes,
      entries: this.#entries,
      features: [...this.#features].sort(),
      notes: this.#notes(),
      contents: { files: this.#files, farLinks: this.#farLinks },
    };
  }

  /**
   * What goes through of the next chunk: to be used before the next call, after which the chunk's memory may hold
   * something else.
   * @throws `snapshot-corrupt` for what is not tar; what the guard throws
   */
  take(chunk: Buffer): readonly Buffer[] {
    this.inputBytes += chunk.length;
    this.#guard?.checkLength(this.inputBytes);
    this.#output = [];
    this.#reader.read(chunk);
    this.#endPiece();
    return this.#output;
  }

  /** To be called where the stream ends. @throws `snapshot-corrupt` where that is in its middle */
  end(): void {
    this.#reader.end();
  }

  #notes(): string[] {
    if (this.#dropped.size === 0) return [];
    const names = this.#shown.join(', ');
    const more = this.#dropped.size - this.#shown.length;
    return [`left out FIFOs and device nodes: ${names}${more > 0 ? ` and ${more} more` : ''}`];
  }

  #takeEntry(entry: TarEntry): 'take' | 'skip' {
    const { type, name, linkName, features } = entry;
    if (this.#dropsNodes && this.#isNode(entry)) {
      this.#dropped.add(name, 1);
      if (this.#shown.length < shownNames) this.#shown.push(shownName(name));
      return 'skip';
    }
    const path = entry.sparseName ?? name;
    if (this.#isUseless(path)) {
      this.#useless.add(path, 1);
      return 'skip';
    }
    this.#refuseLost(entry);
    this.#guard?.check(entry);
    const blocks = blocksOf(entry);
    this.#entries += 1;
    for (const feature of features) this.#features.add(feature);
    if (type === '5' && name === './')
      this.root = headBlocks(entry, { name }).map((block) => Buffer.from(block));
    if (type === '0' || type === '7') this.#files += 1;
    if (type === '2') this.#noteLink(name, linkName);
    for (const block of blocks) this.#emit(block);
    return 'take';
  }

  #isNode({ type, linkName }: TarEntry): boolean {
    return '346'.includes(type) || (type === '1' && this.#dropped.get(linkName) !== undefined);
  }

  /** Content that has gone by under another name cannot be had any more. */
  #refuseLost({ type, name, linkName }: TarEntry): void {
    if (type !== '1' || this.#useless.get(linkName) === undefined) return;
    const [kept, lost] = [shownName(name), shownName(linkName)];
    throw new AppError(
      'copy-failed',
      `${kept} is another name of the file ${lost}, which is left out: it would be lost`,
      { hint: 'Set "trim" to false' },
    );
  }

  /** Names are bytes here (latin1); to others they are text. */
  #noteLink(name: string, linkName: string): void {
    const [path, target] = [name, linkName].map((each) =>
      Buffer.from(each, 'latin1').toString('utf8'),
    ) as [string, string];
    const far = target.startsWith('/') || posix.join(posix.dirname(path), target).startsWith('..');
    if (far && this.#farLinks.length < farLinksLimit) {
      this.#farLinks.push({ path: posix.normalize(path), target });
    }
  }

  /** What is let through without a gap stays one piece of its chunk: neither many pieces, nor copies of them. */
  #emit(part: Buffer): void {
    this.#tarBytes += part.length;
    const { buffer, byteOffset, length } = part;
    if (buffer === this.#piece.buffer && byteOffset === this.#piece.end) {
      this.#piece.end += length;
      return;
    }
    this.#endPiece();
    this.#piece = { buffer, start: byteOffset, end: byteOffset + length };
  }

  #endPiece(): void {
    const { buffer, start, end } = this.#piece;
    if (end > start) this.#output.push(Buffer.from(buffer, start, end - start));
    this.#piece = noPiece;
  }
}
