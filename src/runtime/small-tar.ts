import { Readable, type Writable } from 'node:stream';

import { extract, pack } from 'tar-stream';

/** A tar with nothing in it. */
export function emptyTar(): Readable {
  const tar = pack();
  tar.finalize();
  return Readable.from(tar);
}

/** Regular files as a tar to be extracted at `/`: they land in `folder`, by their base names. */
export function packFiles(
  folder: string,
  files: readonly { readonly path: string; readonly content: Buffer }[],
): Readable {
  const tar = pack();
  for (const { path, content } of files) {
    const name = `${folder.replace(/^\/+/, '')}/${path.slice(path.lastIndexOf('/') + 1)}`;
    tar.entry({ name, mode: 0o755, mtime: new Date(0) }, content);
  }
  tar.finalize();
  return Readable.from(tar);
}

export interface TarEntry {
  /** Relative to what was packed, whose own entry has an empty one. */
  readonly path: string;
  readonly type: string;
  readonly linkName: string;
  /** Numbers, as in the file system. */
  readonly owner: number;
  readonly group: number;
  readonly mode: number;
  readonly mtime: Date;
  /** To be read, or left, before the next entry is asked for. */
  readonly content: AsyncIterable<Buffer>;
}

/** The entries of a tar one by one. Whoever stops early reads no more of it. */
export async function* listEntries(tar: Readable): AsyncGenerator<TarEntry> {
  const reader = extract();
  tar
    .on('error', (error) => {
      reader.destroy(error);
    })
    .pipe(reader as unknown as Writable);
  try {
    for await (const entry of reader) {
      const { name, type, linkname, uid, gid, mode, mtime } = entry.header;
      yield {
        path: name.replace(/^(\.?\/)*/, '').replace(/^\.$|\/+$/, ''),
        ...{ type, linkName: linkname, owner: uid, group: gid, mode, mtime },
        // A cast: its types do not say that an entry yields buffers.
        content: entry as AsyncIterable<Buffer>,
      };
      entry.resume();
    }
  } finally {
    tar.destroy();
  }
}

/**
 * The first `limitBytes` of the first regular file of a tar; `undefined` where there is none. What follows is not read.
 */
export async function extractHead(tar: Readable, limitBytes: number): Promise<Buffer | undefined> {
  for await (const { type, content } of listEntries(tar)) {
    if (type !== 'file') continue;
    // Read before it is returned: leaving the loop ends the stream.
    const head = await headOf(content, limitBytes);
    return head;
  }
  return undefined;
}

async function headOf(file: AsyncIterable<Buffer>, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of file) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= limitBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, limitBytes);
}
