import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';

import type { ExpectedArchive } from '../../src/runtime/volume-copier.ts';
import { paxEntry, tarEnd, tarEntry, tarHeader } from './tar-bytes.ts';

/** An archive that wants out of the volume, or to be more than it says, and how it is refused. */
export interface HostileArchive {
  readonly parts: readonly Buffer[];
  readonly refusal: RegExp;
  readonly code?: 'snapshot-corrupt' | 'snapshot-incompatible';
  /** Of the manifest that goes with it, where it says something else than what is there. */
  readonly entries?: number;
}

/** What a restore of them is permitted. */
export const hostileMaxBytes = 10e9;

const root = tarHeader({ name: './', type: '5', mode: '0000755' });
const symlink = (name: string, linkName: string): Buffer =>
  tarHeader({ name, type: '2', linkName });
const hardLink = (name: string, linkName: string): Buffer =>
  tarHeader({ name, type: '1', linkName });
const file = (name: string): Buffer => tarEntry(name, 'hostile');
const terabyte = String(10 ** 12);

/**
 * @param target a folder with the file `kept` that the archives aim at, by its absolute path
 * @param at the folder in the archive that what they make is in
 */
export function hostileArchives(
  target: string,
  at = './',
): Readonly<Record<string, HostileArchive>> {
  const up = `${'../'.repeat(12)}${target.slice(1)}`;
  return {
    'an absolute name': { parts: [file(`${target}/kept`)], refusal: /has the absolute path/ },
    'an absolute name in a pax header': {
      parts: [paxEntry({ path: `${target}/kept` }), file(`${at}a`)],
      refusal: /has the absolute path/,
    },
    'a name with ".."': { parts: [file(`${at}${up}/kept`)], refusal: /with "\.\."/ },
    'a long name with ".."': {
      parts: [
        tarEntry('././@LongLink', `${at}${'x/'.repeat(60)}../../${up}\0`, 'L'),
        file(`${at}a`),
      ],
      refusal: /with "\.\."/,
    },
    'a symlink, and a file through it': {
      parts: [symlink(`${at}out`, target), file(`${at}out/kept`)],
      refusal: /\.\/out\/kept goes through out, which is no folder/,
    },
    'a symlink, and a folder of a folder through it': {
      parts: [symlink(`${at}out`, up), tarHeader({ name: `${at}out/a/b/`, type: '5' })],
      refusal: /goes through out/,
    },
    'a folder that becomes a symlink': {
      parts: [
        tarHeader({ name: `${at}out/`, type: '5' }),
        symlink(`${at}out`, target),
        file(`${at}out/kept`),
      ],
      refusal: /\.\/out is there twice/,
    },
    'a folder without an entry that becomes a symlink': {
      parts: [file(`${at}out/a`), symlink(`${at}out`, target), file(`${at}out/kept`)],
      refusal: /goes through out/,
    },
    'a symlink that becomes a file': {
      parts: [symlink(`${at}out`, `${target}/kept`), file(`${at}out`)],
      refusal: /\.\/out is there twice/,
    },
    'a symlink in place of the root folder': {
      parts: [symlink('./', target), file(`${at}kept`)],
      refusal: /stands for the root folder/,
    },
    'a hard link to an absolute path': {
      parts: [hardLink(`${at}in`, `${target}/kept`), file(`${at}in`)],
      refusal: /\.\/in has the absolute path/,
    },
    'a hard link with ".."': { parts: [hardLink(`${at}in`, `${up}/kept`)], refusal: /with "\.\."/ },
    'a hard link through a symlink': {
      parts: [symlink(`${at}out`, target), hardLink(`${at}in`, `${at}out/kept`)],
      refusal: /\.\/in goes through out/,
    },
    'a hard link to what is not in the archive': {
      parts: [hardLink(`${at}in`, `${at}nothing`)],
      refusal: /which is no file before it/,
    },
    'a hard link with another target in a pax header': {
      parts: [
        file(`${at}a`),
        paxEntry({ linkpath: `${target}/kept` }),
        hardLink(`${at}in`, `${at}a`),
      ],
      refusal: /\.\/in has the absolute path/,
    },
    'a character device': {
      parts: [tarHeader({ name: `${at}mem`, type: '3' })],
      refusal: /device/,
    },
    'a block device': { parts: [tarHeader({ name: `${at}disk`, type: '4' })], refusal: /device/ },
    'a FIFO': { parts: [tarHeader({ name: `${at}fifo`, type: '6' })], refusal: /FIFO/ },
    'a name that only some tars see, in an older header': {
      parts: [
        Buffer.concat([
          tarHeader({ name: 'kept', magic: 'ustar  \0', prefix: target, size: 7 }),
          tarEntry('', 'hostile').subarray(512),
        ]),
      ],
      refusal: /not every tar reads the same name/,
    },
    'a name that only some tars see, in a header of star': {
      parts: [tarHeader({ name: 'a', prefix: 'p'.repeat(155), end: 'tar\0' })],
      refusal: /not every tar reads the same name/,
    },
    'a name for its holes, without holes': {
      parts: [
        paxEntry({ 'GNU.sparse.name': `${at}a`, 'GNU.sparse.realsize': '0' }),
        file(`${at}b`),
      ],
      refusal: /no map of them/,
    },
    'another name of a file with holes': {
      parts: [
        paxEntry({
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.name': `${at}a`,
          'GNU.sparse.realsize': '0',
        }),
        tarEntry(`../x/GNUSparseFile.0/a`, '0\n'.padEnd(512, '\0')),
      ],
      refusal: /with "\.\."/,
    },
    'two sizes of a file with holes': {
      parts: [
        paxEntry({
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.name': `${at}a`,
          'GNU.sparse.realsize': '0',
          'GNU.sparse.size': '9', // a large one would fill the disk, where the test goes past the guard
        }),
        tarEntry(`${at}GNUSparseFile.0/a`, '0\n'.padEnd(512, '\0')),
      ],
      refusal: /two sizes of one file with holes/,
    },
    'holes of a symlink': {
      parts: [
        paxEntry({ 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' }),
        symlink(`${at}out`, target),
      ],
      refusal: /has holes, and is no file/,
    },
    'two long names': {
      parts: [tarEntry('L', `${at}a\0`, 'L'), tarEntry('L', `${target}\0`, 'L'), file(`${at}c`)],
      refusal: /more than one extended header of type L/,
    },
    'a long name and another one in a pax header': {
      parts: [tarEntry('L', `${target}/kept\0`, 'L'), paxEntry({ path: `${at}a` }), file(`${at}b`)],
      refusal: /both a long name and the pax record path/,
    },
    'a name that ends in its middle': {
      parts: [paxEntry({ path: `${at}a\0b` }), file(`${at}b`)],
      refusal: /impossible value/,
    },
    'a path for all entries': {
      parts: [paxEntry({ path: `${target}/kept` }, 'g'), file(`${at}a`)],
      refusal: /global header/,
    },
    'a link with content': {
      parts: [
        file(`${at}a`),
        Buffer.concat([
          tarHeader({ name: `${at}b`, type: '1', linkName: `${at}a`, size: 512 }),
          root,
        ]),
      ],
      refusal: /has content, and is a link/,
    },
    'a name of 5000 bytes': {
      parts: [tarEntry('L', `${at}${'n/'.repeat(2500)}n\0`, 'L'), file(`${at}a`)],
      refusal: /more than 4096 bytes/,
    },
    'an extended header of 2 MiB': {
      parts: [paxEntry({ comment: 'x'.repeat(2 ** 21) }), file(`${at}a`)],
      refusal: /extended headers of more than 1 MiB/,
    },
    'more entries than its manifest says': {
      parts: Array.from({ length: 20 }, (_, i) => file(`${at}${i}`)),
      entries: 10,
      refusal: /more entries than its manifest says/,
    },
    'a file with a hole of 1 TB': {
      parts: [
        paxEntry({
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.name': `${at}large`,
          'GNU.sparse.realsize': terabyte,
        }),
        tarEntry(`${at}GNUSparseFile.0/large`, '0\n'.padEnd(512, '\0')),
      ],
      code: 'snapshot-incompatible',
      refusal: /with \.\/large, unpacks to more than the 10 GB/,
    },
    'a file with a hole of 1 TB in an older form': {
      parts: [
        paxEntry({ 'GNU.sparse.size': terabyte, 'GNU.sparse.map': '0,0' }),
        tarEntry(`${at}large`, ''),
      ],
      code: 'snapshot-incompatible',
      refusal: /with \.\/large, unpacks to more than the 10 GB/,
    },
  };
}

/** The whole stream. */
export function hostileTar({ parts }: Pick<HostileArchive, 'parts'>): Buffer {
  return Buffer.concat([root, ...parts, tarEnd]);
}

/** Writes a stream to `file`, and says of it what the manifest of such a snapshot says. */
export function forgedArchive(
  file: string,
  tar: Buffer,
  says: Partial<ExpectedArchive> = {},
): ExpectedArchive & { readonly file: string } {
  writeFileSync(file, tar);
  return {
    ...{ file, compression: 'none', archiveBytes: tar.length, tarBytes: tar.length },
    sha256: createHash('sha256').update(tar).digest('hex'),
    ...{ entries: 1000, features: [] },
    ...says,
  };
}
