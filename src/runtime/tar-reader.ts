import type { ArchiveFeature } from '../snapshot/manifest.ts';
import { extensionTypes, readExtension, type Extension } from './tar-extension.ts';
import { blockBytes, isZero, notTar, readHeader, type Header } from './tar-header.ts';
import { isContinued } from './tar-sparse.ts';

/** Long names and extended headers are held in memory until the entry they belong to is known. */
const extensionLimitBytes = 1024 * 1024;

/** For a third of a million pieces of data between holes. */
const continuationLimitBytes = 8 * 1024 * 1024;

/** An extended header before an entry. */
export interface HeldExtension {
  /** One of {@link extensionTypes}. */
  readonly type: string;
  readonly content: Buffer;
  /** Its header block, and its content with padding, as they came. */
  readonly blocks: readonly Buffer[];
}

/** What all headers of an entry say together. Names are bytes, one character each (latin1). */
export interface TarEntry {
  /** One character; `0` for a regular file however it was written. */
  readonly type: string;
  readonly name: string;
  readonly linkName: string;
  /** The name of a file with holes in pax headers, where that is another one. */
  readonly sparseName: string | undefined;
  /** Of the content that follows, without padding: 0 for what has none, whatever its size field says. */
  readonly contentBytes: number;
  /** What its headers say of its size. */
  readonly declaredBytes: number;
  readonly features: readonly ArchiveFeature[];
  readonly extensions: readonly HeldExtension[];
  readonly header: Buffer;
  /** The blocks that go on with the header of type `S`. */
  readonly continuation: readonly Buffer[];
}

/** Is told what is in a tar stream, in its order. What it throws breaks the stream. */
export interface TarVisitor {
  /** An entry begins. `skip`: its content is of no interest. */
  entry(entry: TarEntry): 'take' | 'skip';
  /** The next part of its content, which padding follows. */
  content(part: Buffer): void;
  /** One of the two zero blocks that end the stream. */
  endBlock(block: Buffer): void;
}

export interface TarReaderOptions {
  /**
   * An archive that no part of snapvol has made: it may have files with holes in GNU's old format (type `S`), and
   * nothing but zeros may follow its end mark.
   */
  readonly foreign?: boolean;
}

/** All header blocks of an entry, extended headers first. */
export function blocksOf({ extensions, header, continuation }: TarEntry): readonly Buffer[] {
  return [...extensions.flatMap(({ blocks }) => blocks), header, ...continuation];
}

/**
 * Reads a tar stream that comes in chunks of any size, holding no more of it than one entry's headers.
 *
 * Headers: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html and
 * https://www.gnu.org/software/tar/manual/html_node/Standard.html
 */
export class TarReader {
  readonly #visitor: TarVisitor;
  /** The part so far of the header block being read; chunks may end anywhere. */
  #block: Buffer = Buffer.alloc(0);
  /** Content (with padding) of the current entry still to come, and what becomes of it. */
  #contentBytes = 0;
  #content: 'take' | 'skip' | 'hold' = 'take';
  /** Extended headers, and what they say, waiting for their entry. */
  #held: HeldExtension[] = [];
  #heldBytes = 0;
  #extension: { type: string; sizeBytes: number; header: Buffer; parts: Buffer[] } | undefined;
  #next: Extension = { features: [] };
  /** A header of type `S`, and the blocks that go on with it. */
  #continued: Buffer[] = [];
  #endBlocks = 0;
  readonly #foreign: boolean;

  constructor(visitor: TarVisitor, { foreign = false }: TarReaderOptions = {}) {
    this.#visitor = visitor;
    this.#foreign = foreign;
  }

  /** The chunk's memory may be used for another one afterwards. @throws `snapshot-corrupt` for what is not tar */
  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#endBlocks < 2) {
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
    if (this.#foreign && at < chunk.length && !isZero(chunk.subarray(at)))
      throw notTar('something follows its end mark');
    this.#keep();
  }

  /** Copies the parts of a chunk that wait for what is in the next one. */
  #keep(): void {
    if (this.#block.length > 0) this.#block = Buffer.from(this.#block);
    if (this.#heldBytes === 0 && this.#continued.length === 0) return;
    const copies = (blocks: readonly Buffer[]): Buffer[] => blocks.map((each) => Buffer.from(each));
    this.#continued = copies(this.#continued);
    this.#held = this.#held.map((each) => ({ ...each, blocks: copies(each.blocks) }));
    if (this.#extension) {
      const { header, parts } = this.#extension;
      this.#extension = { ...this.#extension, header: Buffer.from(header), parts: copies(parts) };
    }
  }

  /** To be called where the stream ends. @throws `snapshot-corrupt` where that is in its middle */
  end(): void {
    if (this.#endBlocks < 2) throw notTar('it ends in the middle');
  }

  #takeContent(part: Buffer): void {
    if (this.#content === 'take') this.#visitor.content(part);
    if (this.#content === 'hold') {
      this.#hold(part);
      if (this.#contentBytes === 0) this.#endExtension();
    }
  }

  #takeBlock(block: Buffer): void {
    const [first] = this.#continued;
    if (first !== undefined) {
      this.#continued.push(block);
      this.#heldBytes += block.length;
      if (this.#heldBytes > continuationLimitBytes) throw notTar('a file with too many holes');
      if (!isContinued(block, 'continuation')) this.#takeEntry(first, readHeader(first));
      return;
    }
    if (isZero(block)) {
      if (this.#held.length > 0) throw notTar('an extended header without its entry');
      this.#endBlocks += 1;
      this.#visitor.endBlock(block);
      return;
    }
    if (this.#endBlocks > 0) throw notTar('a header follows the end mark');
    const header = readHeader(block);
    if (extensionTypes.includes(header.type)) {
      this.#extension = {
        type: header.type,
        sizeBytes: header.sizeBytes,
        header: block,
        parts: [],
      };
      this.#countHeld(block);
      this.#expectContent(header.sizeBytes, 'hold');
      if (this.#contentBytes === 0) this.#endExtension();
      return;
    }
    if (header.type === 'S' && this.#foreign && isContinued(block, 'header')) {
      this.#continued = [block];
      return;
    }
    this.#takeEntry(block, header);
  }

  #takeEntry(block: Buffer, header: Header): void {
    if (!'01234567'.includes(header.type) && !(header.type === 'S' && this.#foreign))
      throw notTar(`unknown entry type ${JSON.stringify(header.type)}`);

    const { type, name, linkName, sparseName, sizeBytes, features } = { ...header, ...this.#next };
    // Links, symlinks, folders and nodes have no content, whatever their size field says.
    const contentBytes = '07S'.includes(type) ? sizeBytes : 0;
    const extensions = this.#held;
    const continuation = this.#continued.slice(1);
    this.#held = [];
    this.#continued = [];
    this.#heldBytes = 0;
    this.#next = { features: [] };
    this.#expectContent(
      contentBytes,
      this.#visitor.entry({
        ...{ type, name, linkName, sparseName, contentBytes, features, extensions, continuation },
        declaredBytes: sizeBytes,
        header: block,
      }),
    );
  }

  #expectContent(sizeBytes: number, content: 'take' | 'skip' | 'hold'): void {
    this.#content = content;
    this.#contentBytes = Math.ceil(sizeBytes / blockBytes) * blockBytes;
  }

  #hold(part: Buffer): void {
    this.#countHeld(part);
    this.#extension?.parts.push(part);
  }

  #countHeld(part: Buffer): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > extensionLimitBytes) throw notTar('extended headers of more than 1 MiB');
  }

  #endExtension(): void {
    if (!this.#extension) return;
    const { type, sizeBytes, header, parts } = this.#extension;
    this.#extension = undefined;
    const content = Buffer.concat(parts).subarray(0, sizeBytes);
    this.#held.push({ type, content, blocks: [header, ...parts] });
    const said = readExtension(type, content);
    this.#next = { ...this.#next, ...said, features: [...this.#next.features, ...said.features] };
  }
}
