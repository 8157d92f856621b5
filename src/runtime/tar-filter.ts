import { Transform, type TransformCallback } from 'node:stream';

import { AppError } from '../errors.ts';
import type { ArchiveFeature } from '../snapshot/manifest.ts';
import { blockBytes, isZero, notTar, parseSize, readHeader } from './tar-header.ts';

/** Long names and extended headers are held in memory until the entry they belong to is known. */
const extensionLimitBytes = 1024 * 1024;

/** How many left-out names a note shows. */
const shownNames = 5;

/** What went through, complete when the stream has ended. */
export interface TarSummary {
  /** Bytes let through, the end mark included. */
  readonly tarBytes: number;
  readonly entries: number;
  readonly features: readonly ArchiveFeature[];
  readonly droppedCount: number;
  /** The header blocks of the root folder's own entry, extended headers first; empty where it has none. */
  readonly root: readonly Buffer[];
  /** What was left out, in words; none where nothing was. */
  readonly notes: readonly string[];
}

/**
 * Lets a tar stream through unchanged but for three things, and proves it whole while doing so:
 * - FIFOs and devices are left out: a database makes its own, and a device node has no business in test data.
 * - Padding after the end mark is cut off, so that the bytes do not depend on the writer's record size.
 * - A stream that ends before its end mark, or that is not tar, is an error.
 *
 * Headers: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html and
 * https://www.gnu.org/software/tar/manual/html_node/Standard.html
 */
export class TarFilter extends Transform {
  readonly #onBytes: ((bytes: number) => void) | undefined;
  readonly #features = new Set<ArchiveFeature>();
  readonly #dropped: string[] = [];
  #droppedCount = 0;
  #root: readonly Buffer[] = [];
  #tarBytes = 0;
  #entries = 0;

  /** Blocks of the header being read; chunks may end anywhere. */
  #block: Buffer = Buffer.alloc(0);
  /** Content (with padding) of the current entry still to come, and what becomes of it. */
  #contentBytes = 0;
  #content: 'pass' | 'drop' | 'hold' = 'pass';
  /** Extended headers waiting for their entry. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #extension: { type: string; sizeBytes: number; chunks: Buffer[] } | undefined;
  /** From a pax extended header: the true size of the next entry, where it does not fit the header. */
  #nextSizeBytes: number | undefined;
  #zeroBlocks = 0;

  constructor(onBytes?: (bytes: number) => void) {
    super({ highWaterMark: 1024 * 1024 });
    this.#onBytes = onBytes;
  }

  get summary(): TarSummary {
    return {
      tarBytes: this.#tarBytes,
      entries: this.#entries,
      features: [...this.#features].sort(),
      droppedCount: this.#droppedCount,
      root: this.#root,
      notes: this.#notes(),
    };
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#consume(chunk);
      this.#onBytes?.(this.#tarBytes);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    if (this.#zeroBlocks >= 2) done();
    else
      done(
        new AppError('snapshot-corrupt', 'the tar stream ends in the middle: it has no end mark'),
      );
  }

  #notes(): string[] {
    if (this.#droppedCount === 0) return [];
    const more = this.#droppedCount - this.#dropped.length;
    return [
      `left out FIFOs and device nodes: ${this.#dropped.join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    ];
  }

  #consume(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#zeroBlocks < 2) {
      if (this.#contentBytes > 0) {
        const part = chunk.subarray(at, at + this.#contentBytes);
        at += part.length;
        this.#contentBytes -= part.length;
        this.#takeContent(part);
        if (this.#contentBytes === 0) this.#endContent();
        continue;
      }
      const part = chunk.subarray(at, at + blockBytes - this.#block.length);
      at += part.length;
      this.#block = this.#block.length === 0 ? part : Buffer.concat([this.#block, part]);
      if (this.#block.length === blockBytes) {
        const block = this.#block;
        this.#block = Buffer.alloc(0);
        this.#takeBlock(block);
      }
    }
  }

  #takeContent(part: Buffer): void {
    if (this.#content === 'pass') this.#emit(part);
    if (this.#content === 'hold') {
      this.#hold(part);
      this.#extension?.chunks.push(part);
    }
  }

  #endContent(): void {
    const extension = this.#extension;
    if (!extension) return;
    this.#extension = undefined;
    if (extension.type === 'x' || extension.type === 'g') {
      this.#readPaxRecords(Buffer.concat(extension.chunks).subarray(0, extension.sizeBytes));
    }
  }

  #takeBlock(block: Buffer): void {
    if (isZero(block)) {
      this.#zeroBlocks += 1;
      this.#emit(block);
      return;
    }
    if (this.#zeroBlocks > 0) throw notTar('a header follows the end mark');
    const header = readHeader(block);
    if ('xgLK'.includes(header.type)) {
      this.#hold(block);
      this.#extension = { type: header.type, sizeBytes: header.sizeBytes, chunks: [] };
      this.#expectContent(header.sizeBytes, 'hold');
      return;
    }
    const sizeBytes = this.#nextSizeBytes ?? header.sizeBytes;
    this.#nextSizeBytes = undefined;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    if ('346'.includes(header.type)) {
      this.#droppedCount += 1;
      if (this.#dropped.length < shownNames) this.#dropped.push(header.name);
      this.#expectContent(sizeBytes, 'drop');
      return;
    }
    if (!'01257'.includes(header.type))
      throw notTar(`unknown entry type ${JSON.stringify(header.type)}`);
    this.#entries += 1;
    if (header.type === '5' && header.name === './') this.#root = [...held, block];
    for (const part of held) this.#emit(part);
    this.#emit(block);
    // Links, symlinks and folders have no content, whatever their size field says.
    this.#expectContent('07'.includes(header.type) ? sizeBytes : 0, 'pass');
  }

  #expectContent(sizeBytes: number, content: 'pass' | 'drop' | 'hold'): void {
    this.#content = content;
    this.#contentBytes = Math.ceil(sizeBytes / blockBytes) * blockBytes;
    if (this.#contentBytes === 0) this.#endContent();
  }

  #hold(part: Buffer): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > extensionLimitBytes)
      throw notTar('an extended header of more than 1 MiB');
    this.#held.push(part);
  }

  #emit(part: Buffer): void {
    this.#tarBytes += part.length;
    this.push(part);
  }

  /** Records are `LENGTH KEY=VALUE\n`; LENGTH counts itself. Times alone are no feature: skipping them does no harm. */
  #readPaxRecords(records: Buffer): void {
    let at = 0;
    while (at < records.length) {
      const space = records.indexOf(0x20, at);
      const length = Number(records.toString('latin1', at, space));
      if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > records.length) {
        throw notTar('a broken extended header');
      }
      const equals = records.indexOf(0x3d, space);
      const key = records.toString('latin1', space + 1, equals);
      const value = records.toString('latin1', equals + 1, at + length - 1);
      if (key === 'size') this.#nextSizeBytes = parseSize(value);
      if (key.startsWith('GNU.sparse.')) this.#features.add('sparse');
      else if (key.startsWith('SCHILY.')) this.#features.add('xattrs');
      else if (!['mtime', 'atime', 'ctime'].includes(key)) this.#features.add('pax');
      at += length;
    }
  }
}
