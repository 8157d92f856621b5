import { posix } from 'node:path';
import { Transform, type TransformCallback } from 'node:stream';

import type { ArchiveFeature } from '../snapshot/manifest.ts';
import { extensionTypes, readExtension, type Extension } from './tar-extension.ts';
import { blockBytes, isZero, notTar, readHeader } from './tar-header.ts';
import type { FarLink, VolumeContents } from './volume-copier.ts';

/** Long names and extended headers are held in memory until the entry they belong to is known. */
const extensionLimitBytes = 1024 * 1024;

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
  /** The header blocks of the root folder's own entry, extended headers first; empty where it has none. */
  readonly root: readonly Buffer[];
  /** What was left out, in words; none where nothing was. */
  readonly notes: readonly string[];
  readonly contents: VolumeContents;
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
  /** Bytes read so far, those that were left out too. */
  inputBytes = 0;
  readonly #onBytes: ((bytes: number) => void) | undefined;
  readonly #features = new Set<ArchiveFeature>();
  /** Names (latin1) of what was left out: a further hard link to it cannot be kept either. */
  readonly #dropped = new Set<string>();
  #root: readonly Buffer[] = [];
  #files = 0;
  readonly #farLinks: FarLink[] = [];
  #tarBytes = 0;
  #entries = 0;

  /** The part so far of the header block being read; chunks may end anywhere. */
  #block: Buffer = Buffer.alloc(0);
  /** Content (with padding) of the current entry still to come, and what becomes of it. */
  #contentBytes = 0;
  #content: 'pass' | 'drop' | 'hold' = 'pass';
  /** Extended headers with their content, and what they say, waiting for their entry. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #extension: { type: string; sizeBytes: number; chunks: Buffer[] } | undefined;
  #next: Extension = { features: [] };
  #zeroBlocks = 0;
  #output: Buffer[] = [];

  /** @param onBytes called with the number of bytes read so far; what it throws breaks the stream */
  constructor(onBytes?: (bytes: number) => void) {
    super({ highWaterMark: 1024 * 1024 });
    this.#onBytes = onBytes;
  }

  get summary(): TarSummary {
    return {
      tarBytes: this.#tarBytes,
      entries: this.#entries,
      features: [...this.#features].sort(),
      root: this.#root,
      notes: this.#notes(),
      contents: { files: this.#files, farLinks: this.#farLinks },
    };
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.inputBytes += chunk.length;
      this.#onBytes?.(this.inputBytes);
      this.#consume(chunk);
      // One piece for each chunk: three for each small file would cost more than all the rest.
      const output = Buffer.concat(this.#output);
      this.#output = [];
      if (output.length > 0) done(null, output);
      else done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    done(this.#zeroBlocks < 2 ? notTar('it ends in the middle') : null);
  }

  #notes(): string[] {
    if (this.#dropped.size === 0) return [];
    const names = [...this.#dropped].slice(0, shownNames).map((name) =>
      Buffer.from(name, 'latin1')
        .toString('utf8')
        .replace(/\p{Cc}/gu, '?'),
    );
    const more = this.#dropped.size - names.length;
    return [
      `left out FIFOs and device nodes: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
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
      if (this.#contentBytes === 0) this.#endExtension();
    }
  }

  #takeBlock(block: Buffer): void {
    if (isZero(block)) {
      if (this.#held.length > 0) throw notTar('an extended header without its entry');
      this.#zeroBlocks += 1;
      this.#emit(block);
      return;
    }
    if (this.#zeroBlocks > 0) throw notTar('a header follows the end mark');
    const header = readHeader(block);
    if (extensionTypes.includes(header.type)) {
      this.#hold(block);
      this.#extension = { type: header.type, sizeBytes: header.sizeBytes, chunks: [] };
      this.#expectContent(header.sizeBytes, 'hold');
      if (this.#contentBytes === 0) this.#endExtension();
      return;
    }
    if (!'01234567'.includes(header.type))
      throw notTar(`unknown entry type ${JSON.stringify(header.type)}`);

    const { name, linkName, sizeBytes } = { ...header, ...this.#next };
    const blocks = [...this.#held, block];
    const { features } = this.#next;
    this.#held = [];
    this.#heldBytes = 0;
    this.#next = { features: [] };
    // Links, symlinks, folders and nodes have no content, whatever their size field says.
    const contentBytes = '07'.includes(header.type) ? sizeBytes : 0;
    if ('346'.includes(header.type) || (header.type === '1' && this.#dropped.has(linkName))) {
      this.#dropped.add(name);
      this.#expectContent(contentBytes, 'drop');
      return;
    }
    this.#entries += 1;
    for (const feature of features) this.#features.add(feature);
    if (header.type === '5' && name === './') this.#root = blocks;
    if (header.type === '0' || header.type === '7') this.#files += 1;
    if (header.type === '2') this.#noteLink(name, linkName);
    for (const part of blocks) this.#emit(part);
    this.#expectContent(contentBytes, 'pass');
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

  #expectContent(sizeBytes: number, content: 'pass' | 'drop' | 'hold'): void {
    this.#content = content;
    this.#contentBytes = Math.ceil(sizeBytes / blockBytes) * blockBytes;
  }

  #endExtension(): void {
    if (!this.#extension) return;
    const { type, sizeBytes, chunks } = this.#extension;
    this.#extension = undefined;
    const said = readExtension(type, Buffer.concat(chunks).subarray(0, sizeBytes));
    this.#next = { ...this.#next, ...said, features: [...this.#next.features, ...said.features] };
  }

  #hold(part: Buffer): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > extensionLimitBytes)
      throw notTar('an extended header of more than 1 MiB');
    this.#held.push(part);
  }

  #emit(part: Buffer): void {
    this.#tarBytes += part.length;
    this.#output.push(part);
  }
}
