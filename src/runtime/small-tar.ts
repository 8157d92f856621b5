import { Readable } from 'node:stream';

import { AppError, messageOf } from '../errors.ts';
import { headBlocks, newHead, paddingOf } from './tar-head.ts';
import { blockBytes, type HeaderFields } from './tar-header.ts';
import { nameBytes } from './tar-path.ts';
import { TarReader, type TarEntry } from './tar-reader.ts';

export interface SmallEntry extends HeaderFields {
  readonly name: string;
  readonly content?: Buffer;
}

/** Names are bytes, one character each (latin1). */
export function packTar(entries: readonly SmallEntry[]): Readable {
  const blocks = entries.flatMap(({ content = Buffer.alloc(0), ...fields }) => [
    ...newHead({ ...fields, sizeBytes: content.length }),
    content,
    Buffer.alloc(paddingOf(content.length)),
  ]);
  return Readable.from([...blocks, Buffer.alloc(2 * blockBytes)], { objectMode: false });
}

/** A regular file to be packed. */
export interface PackedFile {
  /** Absolute, in the container. */
  readonly path: string;
  readonly mode: number;
  readonly owner: number;
  readonly group: number;
  readonly sizeBytes: number;
  /** Exactly so many bytes, or an error. */
  readonly content: AsyncIterable<Buffer>;
}

/** Files as a tar to be extracted at `/`. It ends with the error of a content that fails. */
export function packFiles(files: readonly PackedFile[]): Readable {
  return Readable.from(tarOf(files), { objectMode: false });
}

async function* tarOf(files: readonly PackedFile[]): AsyncGenerator<Buffer> {
  for (const { path, mode, owner: uid, group: gid, sizeBytes, content } of files) {
    const name = nameBytes(path.replace(/^\/+/, ''));
    yield* newHead({ name, mode, uid, gid, sizeBytes });
    yield* content;
    yield Buffer.alloc(paddingOf(sizeBytes));
  }
  yield Buffer.alloc(2 * blockBytes);
}

/** The tar of one file, as the engine gives it, to be extracted at `/`: it lands at `path`. */
export function movedTo(path: string, tar: Readable): Readable {
  return Readable.from(oneMoved(nameBytes(path.replace(/^\/+/, '')), tar), { objectMode: false });
}

async function* oneMoved(name: string, tar: Readable): AsyncGenerator<Buffer> {
  let contentBytes = 0;
  for await (const part of readTar(tar)) {
    if (Buffer.isBuffer(part)) {
      yield part;
    } else {
      contentBytes = part.contentBytes;
      yield* headBlocks(part, { name });
    }
  }
  yield Buffer.alloc(paddingOf(contentBytes));
  yield Buffer.alloc(2 * blockBytes);
}

/**
 * What is in a tar that the engine sends, in its order: an entry, and after it its content in parts. Whoever stops early
 * reads no more of it. @throws `copy-failed` where it breaks off
 */
export async function* readTar(tar: Readable): AsyncGenerator<TarEntry | Buffer> {
  let parts: (TarEntry | Buffer)[] = [];
  let contentBytes = 0;
  const reader = new TarReader({
    entry(entry) {
      parts.push(entry);
      contentBytes = entry.contentBytes;
      return 'take';
    },
    content(part) {
      // What is behind the content is padding.
      if (contentBytes > 0) parts.push(part.subarray(0, contentBytes));
      contentBytes -= part.length;
    },
    endBlock: () => undefined,
  });
  try {
    for await (const chunk of tar) {
      reader.read(chunk as Buffer);
      yield* parts;
      parts = [];
    }
    reader.end();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'snapshot-corrupt') throw error;
    // Nothing that was stored: it is the engine that failed.
    const problem = `the archive that the engine sends is broken: ${messageOf(error)}`;
    throw new AppError('copy-failed', problem, { cause: error });
  } finally {
    tar.destroy();
  }
}

/**
 * The first `limitBytes` of the first regular file of a tar; `undefined` where there is none. What follows is not read.
 */
export async function extractHead(tar: Readable, limitBytes: number): Promise<Buffer | undefined> {
  let head: Buffer | undefined;
  for await (const part of readTar(tar)) {
    if (!Buffer.isBuffer(part)) {
      if (head) break;
      if ('07'.includes(part.type)) head = Buffer.alloc(0);
    } else if (head) {
      head = Buffer.concat([head, part]);
      if (head.length >= limitBytes) break;
    }
  }
  return head?.subarray(0, limitBytes);
}
