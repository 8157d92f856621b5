import { paxContent, paxRecords, type PaxRecord } from './tar-extension.ts';
import {
  blockBytes,
  changedHeader,
  newHeader,
  readNumber,
  type HeaderFields,
} from './tar-header.ts';
import type { TarEntry } from './tar-reader.ts';

const headerNameBytes = 100;

/** What the headers of an entry are to say instead. Names are latin1, and of any length. */
export interface HeadChanges {
  readonly name: string;
  /** Absent: however it is said, it stays. */
  readonly linkName?: string;
  /** Another header block in place of the entry's own. */
  readonly header?: Buffer;
  readonly fields?: HeaderFields;
  /** From the pax records that say nothing of these names to those that are written. */
  readonly records?: (records: readonly PaxRecord[]) => readonly PaxRecord[];
}

/**
 * The header blocks of an entry with some of it changed, and all else byte for byte. Names that are too long for a
 * header go into GNU's long names, which every tar reads: that of busybox passes over pax headers.
 */
export function headBlocks(entry: TarEntry, changes: HeadChanges): Buffer[] {
  const { name, linkName, header = entry.header, fields = {} } = changes;
  const pax = entry.extensions.filter(({ type }) => type === 'x');
  const kept = entry.extensions.filter(
    ({ type }) => type === 'g' || (type === 'K' && linkName === undefined),
  );
  const said = recordsOf(entry);
  const others = said.filter(
    ({ key }) => key !== 'path' && (key !== 'linkpath' || linkName === undefined),
  );
  const records = changes.records?.(others) ?? others;
  return [
    ...kept.flatMap(({ blocks }) => blocks),
    ...(areSame(said, records) ? pax.flatMap(({ blocks }) => blocks) : paxBlocks(records)),
    ...longName('K', linkName),
    ...longName('L', name),
    changedHeader(header, {
      ...fields,
      name: name.slice(0, headerNameBytes),
      ...(linkName !== undefined && { linkName: linkName.slice(0, headerNameBytes) }),
    }),
  ];
}

/** The pax records of this entry alone. */
export function recordsOf({ extensions }: TarEntry): PaxRecord[] {
  return extensions.flatMap(({ type, content }) => (type === 'x' ? paxRecords(content) : []));
}

/** An owner that pax records tell; `undefined` where they do not. */
export function idIn(records: readonly PaxRecord[], key: 'uid' | 'gid'): number | undefined {
  const id = Number(records.findLast((record) => record.key === key)?.value ?? '-');
  return Number.isSafeInteger(id) && id >= 0 ? id : undefined;
}

/** Numbers, as in the file system. */
export type Owners = Required<Pick<HeaderFields, 'uid' | 'gid'>>;

/** Those of an entry. Docker tells what does not fit an octal field in pax records, and has a zero there. */
export function ownersOf(entry: TarEntry): Owners {
  const records = recordsOf(entry);
  return {
    uid: idIn(records, 'uid') ?? readNumber(entry.header, 108, 8),
    gid: idIn(records, 'gid') ?? readNumber(entry.header, 116, 8),
  };
}

/** The header blocks of a new entry, as {@link newHeader}, with a name of any length. */
export function newHead(fields: HeaderFields & { readonly name: string }): Buffer[] {
  const name = fields.name.slice(0, headerNameBytes);
  return [...longName('L', fields.name), newHeader({ ...fields, name })];
}

/** Zeros that fill the last block of so many bytes. */
export function paddingOf(bytes: number): number {
  return (blockBytes - (bytes % blockBytes)) % blockBytes;
}

function areSame(a: readonly PaxRecord[], b: readonly PaxRecord[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ key, value }, i) => key === b[i]?.key && value === b[i].value)
  );
}

function paxBlocks(records: readonly PaxRecord[]): Buffer[] {
  return records.length === 0 ? [] : extension('./PaxHeaders/entry', 'x', paxContent(records));
}

function longName(type: 'L' | 'K', name = ''): Buffer[] {
  if (name.length <= headerNameBytes) return [];
  return extension('././@LongLink', type, Buffer.from(`${name}\0`, 'latin1'));
}

function extension(name: string, type: string, content: Buffer): Buffer[] {
  const header = newHeader({ name, type, sizeBytes: content.length });
  return [header, content, Buffer.alloc(paddingOf(content.length))];
}
