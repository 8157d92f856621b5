import type { ArchiveFeature } from '../snapshot/manifest.ts';
import { notTar, parseSize, text } from './tar-header.ts';

/** Entries that carry values too long for a header: pax for one entry or for all, GNU long name, GNU long link name. */
export const extensionTypes = 'xgLK';

/** What extended headers say of the entry that follows them. Names are latin1, as in {@link Header}. */
export interface Extension {
  readonly name?: string;
  readonly linkName?: string;
  readonly sizeBytes?: number;
  /** The name of a file with holes, whose other name is only for who does not know of holes. */
  readonly sparseName?: string;
  readonly features: readonly ArchiveFeature[];
}

/** @throws `snapshot-corrupt` */
export function readExtension(type: string, content: Buffer): Extension {
  switch (type) {
    case 'L':
      return { name: text(content, 0, content.length), features: [] };
    case 'K':
      return { linkName: text(content, 0, content.length), features: [] };
    default:
      return readPax(content);
  }
}

function readPax(content: Buffer): Extension {
  const records = new Map(paxRecords(content).map(({ key, value }) => [key, value]));
  const path = records.get('path');
  const linkPath = records.get('linkpath');
  const size = records.get('size');
  const sparseName = records.get('GNU.sparse.name');
  return {
    ...(path !== undefined && { name: path }),
    ...(linkPath !== undefined && { linkName: linkPath }),
    ...(size !== undefined && { sizeBytes: parseSize(size) }),
    ...(sparseName !== undefined && { sparseName }),
    features: [...records.keys()].map(featureOf).filter((feature) => feature !== undefined),
  };
}

/** Times alone are no feature: skipping them does no harm. */
function featureOf(key: string): ArchiveFeature | undefined {
  if (['mtime', 'atime', 'ctime'].includes(key)) return undefined;
  if (key.startsWith('GNU.sparse.')) return 'sparse';
  return key.startsWith('SCHILY.') ? 'xattrs' : 'pax';
}

/** One line of a pax header. Bytes, one character each (latin1): values may hold any. */
export interface PaxRecord {
  readonly key: string;
  readonly value: string;
}

/** In their order; a key may be there several times. Records are `LENGTH KEY=VALUE\n`; LENGTH counts itself. */
export function paxRecords(content: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const digits = content.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = content.indexOf(0x3d, space);
    if (!/^\d+$/.test(digits) || equals < space || equals >= end || content[end - 1] !== 0x0a) {
      throw notTar('a broken extended header');
    }
    records.push({
      key: content.toString('latin1', space + 1, equals),
      value: content.toString('latin1', equals + 1, end - 1),
    });
    at = end;
  }
  return records;
}

/** The way back. */
export function paxContent(records: readonly PaxRecord[]): Buffer {
  const lines = records.map(({ key, value }) => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    // Its own digits count.
    while (String(length).length + rest.length !== length) length += 1;
    return `${length}${rest}`;
  });
  return Buffer.from(lines.join(''), 'latin1');
}
