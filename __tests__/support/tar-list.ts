import { createHash } from 'node:crypto';
import { Readable, type Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { extract, type Header } from 'tar-stream';

/** An entry as another program reads it. Names are latin1. */
export interface ListedEntry {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly owner: string;
  readonly seconds: number;
  readonly linkName: string | undefined;
  readonly content: string;
}

/** What tar-stream finds in an archive: not our own reader. */
export async function listTar(tar: Buffer): Promise<ListedEntry[]> {
  // Casts: its types know neither this option, nor what may be missing, nor that an entry yields buffers.
  const reader = extract({ filenameEncoding: 'latin1' } as object);
  Readable.from([tar]).pipe(reader as unknown as Writable);
  const entries: ListedEntry[] = [];
  for await (const entry of reader) {
    const { name, type, mode, uid, gid, mtime, linkname } = entry.header as Partial<Header>;
    const content = await buffer(entry as AsyncIterable<Buffer>);
    entries.push({
      name: name ?? '',
      type: type ?? '',
      mode: mode ?? 0,
      owner: `${uid}:${gid}`,
      seconds: (mtime?.getTime() ?? 0) / 1000,
      linkName: linkname ?? undefined,
      content:
        content.length < 50
          ? content.toString('latin1')
          : `${content.length} ${createHash('sha256').update(content).digest('hex')}`,
    });
  }
  return entries;
}
