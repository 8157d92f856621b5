import { changedHeader, isHeader } from '../../../src/runtime/tar-header.ts';
import { paxEntry } from '../tar-bytes.ts';
import type { Random } from './random.ts';

const hostileTexts = [
  ...['', '.', '..', '/', './', './..', '../x', '/etc/passwd', './folder/../../x', './file/x'],
  ...['./folder/link/x', './file', './folder', './folder/link', 'a\0b', '\x1b[31m', '\xff\xfe'],
  ...['x'.repeat(100), 'x/'.repeat(3000), '0', '-1', '1e9', '9'.repeat(20), '8589934592'],
];
const types = '0 1 2 3 4 5 6 7 S x g L K D M N V A Z \0'.split(' ');
const keys = [
  ...['path', 'linkpath', 'size', 'mtime', 'uid', 'comment', 'SCHILY.xattr.user.a', 'hdrcharset'],
  ...['major', 'minor', 'name', 'realsize', 'size', 'map', 'offset', 'numbytes', 'numblocks'].map(
    (key) => `GNU.sparse.${key}`,
  ),
];
/** Of a header: where they begin, and how long they are. */
const fields = [
  ...[
    [0, 100],
    [100, 8],
    [108, 8],
    [116, 8],
    [124, 12],
    [136, 12],
    [156, 1],
    [157, 100],
  ],
  ...[
    [257, 8],
    [265, 32],
    [345, 155],
    [500, 12],
  ],
] as const;

/** Other bytes, anywhere. */
export function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length + 1);
  const length = Math.min(random.of([1, 1, 4, 100, 512, 4096]), copy.length - at);
  switch (random.below(6)) {
    case 0:
      for (let i = at; i < at + length; i++) copy[i] = random.below(256);
      return copy;
    case 1:
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + length)]);
    case 4:
      return Buffer.concat([copy.subarray(0, at + length), copy.subarray(at)]);
    default: {
      const from = random.below(copy.length + 1);
      copy.copy(copy, at, from, from + length);
      return copy;
    }
  }
}

/** A tar stream of whole blocks, with right checksums, that says something else. */
export function mutateTar(tar: Buffer, random: Random): Buffer {
  const blocks = Array.from({ length: Math.floor(tar.length / 512) }, (_, i) =>
    tar.subarray(i * 512, (i + 1) * 512),
  );
  const headers = blocks.flatMap((block, i) => (isHeader(block) ? [i] : []));
  const at = headers.length > 0 ? random.of(headers) : 0;
  const block = blocks[at] ?? Buffer.alloc(512);
  const other = random.below(blocks.length + 1);
  switch (random.below(7)) {
    case 0:
    case 1:
      return Buffer.concat(blocks.with(at, mutateHeader(block, random)));
    case 2:
    case 3: {
      const records = Array.from({ length: 1 + random.below(3) }, () => [
        random.of(keys),
        random.of(hostileTexts),
      ]);
      // A cast: pairs of two.
      const pax = paxEntry(
        Object.fromEntries(records as [string, string][]),
        random.of(['x', 'x', 'x', 'g']),
      );
      return Buffer.concat(blocks.toSpliced(at, 0, pax));
    }
    case 4:
      return Buffer.concat(blocks.toSpliced(other, random.below(4)));
    case 5:
      return Buffer.concat(blocks.toSpliced(other, 0, ...blocks.slice(at, at + random.below(5))));
    default:
      return Buffer.concat(blocks.toSpliced(other, 0, Buffer.alloc(512)));
  }
}

function mutateHeader(header: Buffer, random: Random): Buffer {
  const copy = Buffer.from(header);
  const [start, length] = random.of(fields);
  switch (random.below(3)) {
    case 0:
      copy.fill(0, start, start + length);
      copy.write(random.of(hostileTexts), start, length, 'latin1');
      break;
    case 1:
      copy[start + random.below(length)] = random.below(256);
      break;
    default:
      copy.write(random.of(types), 156, 'latin1');
  }
  return changedHeader(copy, {});
}
