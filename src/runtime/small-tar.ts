import { Readable, type Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

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

/** The content of the only file of a small tar; `undefined` where it holds no regular file. */
export async function extractOne(tar: Readable): Promise<Buffer | undefined> {
  let content: Buffer | undefined;
  const reader = extract();
  reader.on('entry', (header, entry, next) => {
    buffer(entry).then((bytes) => {
      if (header.type === 'file') content ??= bytes;
      next();
    }, next);
  });
  // tar-stream's own stream class is a Writable in all that pipeline asks of one.
  await pipeline(tar, reader as unknown as Writable);
  return content;
}
