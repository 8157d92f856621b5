import { paxRecords, type PaxRecord } from './tar-extension.ts';
import { blockBytes } from './tar-header.ts';
import { recordsOf } from './tar-head.ts';
import { shownName, unusable } from './tar-path.ts';
import type { TarEntry } from './tar-reader.ts';
import { readPaxSparse } from './tar-sparse.ts';

// Tars differ in what they make of headers that contradict each other: what one reads as a harmless name another may
// read as one that leads elsewhere. What no tar writes is refused, so that who unpacks reads what was checked.

/** What says of an entry what it is called and how long it is. */
const isDecisive = (key: string): boolean => /^(path|linkpath|size|GNU\.sparse\..*)$/.test(key);

/** Of holes in the oldest form, one for each. */
const isRepeated = (key: string): boolean => /^GNU\.sparse\.(offset|numbytes)$/.test(key);

/** @throws `snapshot-corrupt` for an entry that not every tar reads alike */
export function requireOneMeaning(entry: TarEntry): void {
  const { name, sparseName = name, type, declaredBytes, extensions } = entry;
  const refuse = (problem: string): never => {
    throw unusable(`${shownName(name)} has ${problem}`);
  };
  if (hasOddPrefix(entry.header)) refuse('a header of which not every tar reads the same name');
  if ('12'.includes(type) && declaredBytes > 0) refuse('content, and is a link');
  if (type !== '5' && sparseName.endsWith('/') && '07'.includes(type))
    refuse('the name of a folder, and is a file');
  if (extensions.length === 0) return;

  requireNothingForAll(entry);
  for (const each of 'xLK') {
    if (extensions.filter((extension) => extension.type === each).length > 1)
      refuse(`more than one extended header of type ${each}`);
  }
  const records = recordsOf(entry).filter(({ key }) => isDecisive(key));
  const keys = records.map(({ key }) => key).filter((key) => !isRepeated(key));
  const twice = keys.find((key, at) => keys.indexOf(key) !== at);
  if (twice !== undefined) refuse(`two values of ${shownName(twice.slice(0, 100))}`);
  if (records.some(({ value }) => value === '' || value.includes('\0')))
    refuse('an impossible value in its extended header');
  for (const [longType, key] of [
    ['L', 'path'],
    ['K', 'linkpath'],
  ] as const) {
    const long = extensions.find((extension) => extension.type === longType);
    if (long && keys.includes(key)) refuse(`both a long name and the pax record ${key}`);
  }
  requireHolesOfOneMeaning(entry, records, refuse);
}

/** One path for all entries would make one entry of them. @throws `snapshot-corrupt` */
export function requireNothingForAll({ extensions }: TarEntry): void {
  const forAll = extensions.flatMap(({ type, content }) =>
    type === 'g' ? paxRecords(content) : [],
  );
  const named = forAll.find(({ key }) => isDecisive(key));
  if (named)
    throw unusable(
      `a global header of it sets ${shownName(named.key.slice(0, 100))} for all entries`,
    );
}

function requireHolesOfOneMeaning(
  entry: TarEntry,
  records: readonly PaxRecord[],
  refuse: (problem: string) => never,
): void {
  const told = new Map(records.map(({ key, value }) => [key.replace(/^GNU\.sparse\./, ''), value]));
  if (!records.some(({ key }) => key.startsWith('GNU.sparse.'))) return;
  if (!'07'.includes(entry.type)) refuse('holes, and is no file');
  const version = `${told.get('major') ?? ''}.${told.get('minor') ?? ''}`;
  if (!['1.0', '0.1', '0.0', '.'].includes(version)) refuse('holes of an unknown format');
  // Of two sizes one tar would take this one, another that.
  if (told.has('size') && (told.has('realsize') || version === '1.0'))
    refuse('two sizes of one file with holes');
  readPaxSparse(records);
  // Go passes over the other name where it finds no map.
  if (entry.sparseName !== undefined && version !== '1.0' && !told.has('map'))
    refuse('a name for its holes, and no map of them');
}

const prefixAt = 345;

/**
 * Only POSIX headers have a prefix in front of the name. Go also sees one in GNU's older headers where there are no
 * times in that place, and a shorter one in those of star.
 */
function hasOddPrefix(header: Buffer): boolean {
  const magic = header.toString('latin1', 257, 265);
  if (magic === 'ustar  \0') return !isTime(header, prefixAt) || !isTime(header, prefixAt + 12);
  const isStar = header.toString('latin1', 508, blockBytes) === 'tar\0';
  return magic.startsWith('ustar\0') && isStar && header[prefixAt + 130] !== 0;
}

/** In octal, or in binary: before 1970, or late. */
function isTime(header: Buffer, at: number): boolean {
  const field = header.toString('latin1', at, at + 12);
  return /^ *[0-7]*[ \0]*$/.test(field) || /^(\x80\0{3}|\xff{4})/.test(field);
}
