import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { plainTar } from '../../../src/runtime/tar-plain.ts';
import { paxEntry, tarContent, tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';
import { listTar } from '../../support/tar-list.ts';

async function plain(chunks: readonly Buffer[]): Promise<Buffer> {
  return buffer(plainTar(Readable.from(chunks)));
}

const root = tarHeader({ name: './', type: '5' });
const next = tarEntry('./next', 'x');

test('what every tar understands stays as it is', async () => {
  const stream = Buffer.concat([
    root,
    tarEntry('./file', 'content'),
    tarHeader({ name: './link', type: '1', linkName: './file' }),
    tarHeader({ name: './soft', type: '2', linkName: '/x' }),
    paxEntry({ mtime: '1.5', 'SCHILY.xattr.user.a': 'b' }),
    next,
    tarEnd,
  ]);
  expect(await plain([stream])).toEqual(stream);
});

test('owners and sizes that only pax records tell are told in headers', async () => {
  const records = { uid: '3000000', gid: '7', size: '5', mtime: '1.5' };
  const output = await plain([
    root,
    paxEntry(records),
    tarHeader({ name: './a' }),
    tarContent('12345'),
    tarEnd,
  ]);
  expect(output.subarray(512, 1536).toString('latin1')).toContain('mtime=1.5');
  expect(output.toString('latin1')).not.toMatch(/uid=|gid=|size=/);
  expect((await listTar(output))[1]).toMatchObject({ owner: '3000000:7', content: '12345' });
  // GNU's way, from 2^21 on: 0x80, and a big-endian number.
  const header = output.subarray(1536, 2048);
  expect(header.readBigUInt64BE(108)).toBe((1n << 63n) | 3_000_000n);
  expect(header.toString('latin1', 116, 124)).toBe('0000007\0');
});

test('long names and targets are those of GNU', async () => {
  const long = './' + 'n'.repeat(150);
  const output = await plain([
    paxEntry({ path: long, linkpath: long }),
    tarHeader({ name: 'cut', type: '2', linkName: 'cut' }),
    tarEnd,
  ]);
  expect(output.toString('latin1')).not.toContain('path=');
  expect(await listTar(output)).toEqual([expect.objectContaining({ name: long, linkName: long })]);
});

interface Sparse {
  readonly pieces: readonly (readonly [number, number])[];
  readonly realBytes: number;
}

const data = ({ pieces }: Sparse): string =>
  pieces.map(([, length], i) => String.fromCharCode(97 + (i % 26)).repeat(length)).join('');

function withHoles({ pieces, realBytes }: Sparse): string {
  const file = Buffer.alloc(realBytes);
  pieces.forEach(([at, length], i) => file.fill(97 + (i % 26), at, at + length));
  return file.toString('latin1');
}

/** A file with holes in each form that GNU tar has had in pax headers. */
const forms = {
  '1.0': (file: Sparse): Buffer => {
    const numbers = [file.pieces.length, ...file.pieces.flat()];
    const content = Buffer.concat([
      tarContent(`${numbers.join('\n')}\n`),
      Buffer.from(data(file), 'latin1'),
    ]);
    const records = {
      'GNU.sparse.major': '1',
      'GNU.sparse.minor': '0',
      'GNU.sparse.name': './sparse',
      'GNU.sparse.realsize': String(file.realBytes),
    };
    return Buffer.concat([paxEntry(records), tarEntry('./GNUSparseFile.1/sparse', content)]);
  },
  '0.1': (file: Sparse): Buffer => {
    const records = {
      'GNU.sparse.size': String(file.realBytes),
      'GNU.sparse.numblocks': String(file.pieces.length),
      'GNU.sparse.name': './sparse',
      'GNU.sparse.map': file.pieces.flat().join(','),
    };
    return Buffer.concat([paxEntry(records), tarEntry('./GNUSparseFile.1/sparse', data(file))]);
  },
  '0.0': (file: Sparse): Buffer => {
    const one = (key: string, value: number): Buffer =>
      paxEntry({ [`GNU.sparse.${key}`]: String(value) });
    return Buffer.concat([
      one('size', file.realBytes),
      one('numblocks', file.pieces.length),
      ...file.pieces.flatMap(([at, length]) => [one('offset', at), one('numbytes', length)]),
      tarEntry('./sparse', data(file)),
    ]);
  },
};

describe.each(Object.entries(forms))('holes in format %s', (_name, write) => {
  test.each([
    [
      'before, between and behind',
      {
        pieces: [
          [512, 512],
          [2048, 700],
        ],
        realBytes: 5000,
      },
    ],
    ['and no data', { pieces: [], realBytes: 3000 }],
    ['and no hole', { pieces: [[0, 1000]], realBytes: 1000 }],
    [
      'and empty pieces, as GNU tar ends files',
      {
        pieces: [
          [0, 512],
          [9000, 0],
        ],
        realBytes: 9000,
      },
    ],
    ['larger than a chunk', { pieces: [[3_000_000, 5]], realBytes: 4_000_000 }],
    ['and no byte', { pieces: [], realBytes: 0 }],
  ] as const)('become zeros: %s', async (_what, file) => {
    const output = await plain([root, write(file), next, tarEnd]);
    const expected = Buffer.concat([root, tarEntry('./sparse', withHoles(file)), next, tarEnd]);
    expect(output.equals(expected)).toBe(true);
  });

  test('become zeros wherever the stream is cut', async () => {
    const piece = fc.tuple(fc.nat(3000), fc.nat(3000));
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 20 }),
        fc.nat(3000),
        cuts,
        async (steps, rest, places) => {
          let end = 0;
          const pieces = steps.map(([hole, length]): [number, number] => {
            const at = end + hole;
            end = at + length;
            return [at, length];
          });
          const file = { pieces, realBytes: end + rest };
          const stream = Buffer.concat([root, write(file), next, tarEnd]);
          const ends = [...new Set([0, ...places.map((at) => at % stream.length), stream.length])];
          ends.sort((a, b) => a - b);
          const output = await plain(ends.slice(1).map((to, i) => stream.subarray(ends[i], to)));
          const expected = Buffer.concat([
            root,
            tarEntry('./sparse', withHoles(file)),
            next,
            tarEnd,
          ]);
          expect(output.equals(expected)).toBe(true);
        },
      ),
    );
  });

  test.each([
    [
      'out of order',
      {
        pieces: [
          [512, 512],
          [0, 512],
        ],
        realBytes: 5000,
      },
    ],
    ['beyond the end', { pieces: [[512, 512]], realBytes: 1000 }],
  ] as const)('whose map cannot be are refused: %s', async (_what, file) => {
    const refused = plain([root, write(file), next, tarEnd]);
    await expect(refused).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  });
});

test.each([
  ['a map without an end', '5\n0\n'],
  ['a map that is no numbers', 'x\n'],
  ['a map of too many pieces', '2000000\n'],
  ['no map', ''],
])('a file with holes is refused: %s', async (_what, content) => {
  const records = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9' };
  const refused = plain([paxEntry(records), tarEntry('./x', content), next, tarEnd]);
  await expect(refused).rejects.toMatchObject({ code: 'snapshot-corrupt' });
});
