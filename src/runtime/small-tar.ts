import { Readable, type Writable } from 'node:stream';

import { extract, pack } from 'tar-stream';

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

/**
 * The first `limitBytes` of the first regular file of a tar; `undefined` where there is none. What follows is not read.
 */
export async function extractHead(tar: Readable, limitBytes: number): Promise<Buffer | undefined> {
  const reader = extract();
  tar
    .on('error', (error) => {
      reader.destroy(error);
    })
    .pipe(reader as unknown as Writable);
  try {
    for await (const entry of reader) {
      // A cast: its types do not say that an entry yields buffers.
      if (entry.header.type === 'file')
        return await headOf(entry as AsyncIterable<Buffer>, limitBytes);
      entry.resume();
    }
    return undefined;
  } finally {
    tar.destroy();
  }
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
