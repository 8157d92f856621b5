import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { TarRename, type Rename } from '../../../src/runtime/tar-rename.ts';
import { paxEntry, tarContent, tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';
import { listTar } from '../../support/tar-list.ts';

/** As an import of what is in `folder`. */
function strip(folder: string): Rename {
  return (path) => {
    if (folder === '') return path === '' ? '.' : `./${path}`;
    if (path === folder) return '.';
    return path.startsWith(`${folder}/`) ? `.${path.slice(folder.length)}` : undefined;
  };
}

/** As an export below `folder`. */
const below =
  (folder: string): Rename =>
  (path) =>
    path === '' ? folder : `${folder}/${path}`;

async function renamed(
  chunks: readonly Buffer[],
  rename: Rename,
  options = { foreign: true, makeRoot: true },
): Promise<{ readonly output: Buffer; readonly through: TarRename }> {
  const through = new TarRename(rename, options);
  const source = Readable.from(chunks);
  source.on('error', (error) => through.destroy(error));
  return { output: await buffer(source.pipe(through)), through };
}

const refusal = (message: string) => ({
  code: 'snapshot-corrupt',
  message: expect.stringContaining(message),
});

const root = tarHeader({ name: './', type: '5' });
const madeUpRoot = (output: Buffer): Buffer => output.subarray(0, 512);

async function names(chunks: readonly Buffer[], rename: Rename): Promise<string[]> {
  const { output } = await renamed(chunks, rename);
  return (await listTar(output)).map(({ name }) => name);
}

describe('paths', () => {
  test.each([
    ['data/', 'data/a', 'data/b/', 'data/b/c'],
    ['./data/', './data/a', './data/b/', './data/b/c'],
    ['/data/', '/data/a', '/data/b/', '/data/b/c'],
    ['data', 'data//a', './/data/./b', '//data/b/c'],
  ])('come out alike, however they are written: %s %s %s %s', async (...given) => {
    const entries = given.map((name, i) => tarHeader({ name, type: i % 2 === 0 ? '5' : '0' }));
    expect(await names([...entries, tarEnd], strip('data'))).toEqual([
      './',
      './a',
      './b/',
      './b/c',
    ]);
  });

  test('in a root folder of their own are only made alike', async () => {
    const stream = [root, tarEntry('./a', 'x'), tarEntry('b', 'y'), tarEnd];
    const { output, through } = await renamed(stream, strip(''));
    expect(output).toEqual(
      Buffer.concat([root, tarEntry('./a', 'x'), tarEntry('./b', 'y'), tarEnd]),
    );
    expect(through).toMatchObject({ kept: 3, leftOut: 0, hasRoot: true, isRelative: true });
  });

  test('elsewhere are left out, with their extended headers and content', async () => {
    const { output, through } = await renamed(
      [
        tarEntry('other', 'x'.repeat(600)),
        tarHeader({ name: 'data/', type: '5' }),
        paxEntry({ mtime: '1.5' }),
        tarEntry('data2/file', 'y'),
        tarEntry('data/file', 'z'),
        tarEnd,
      ],
      strip('data'),
    );
    expect(output).toEqual(Buffer.concat([root, tarEntry('./file', 'z'), tarEnd]));
    expect(through).toMatchObject({ kept: 2, leftOut: 2, isRelative: false });
  });

  test('without a root folder get one, of nobody in particular', async () => {
    const { output, through } = await renamed([tarEntry('data/a', 'x'), tarEnd], strip('data'));
    expect(through.hasRoot).toBe(false);
    expect(await listTar(output)).toEqual([
      expect.objectContaining({
        ...{ name: './', type: 'directory', mode: 0o755, owner: '0:0', seconds: 0 },
      }),
      expect.objectContaining({ name: './a', content: 'x' }),
    ]);
  });

  test('with the root folder somewhere behind get one in front as well: the last one counts', async () => {
    const late = [tarEntry('a', 'x'), root, tarEnd];
    const { output, through } = await renamed(late, strip(''));
    expect(through.hasRoot).toBe(true);
    expect(output).toEqual(Buffer.concat([madeUpRoot(output), tarEntry('./a', 'x'), root, tarEnd]));
  });

  test('that are there twice stay so: the last one counts', async () => {
    const twice = [root, tarEntry('./a', '1'), tarEntry('a', '2'), tarEnd];
    expect((await listTar((await renamed(twice, strip(''))).output)).map((e) => e.content)).toEqual(
      [...['', '1', '2']],
    );
  });

  test('of folders in the way of old programs are known by their slash', async () => {
    const old = [
      tarHeader({ name: 'data/', type: '\0', magic: '' }),
      tarHeader({ name: 'data/sub/', type: '\0', magic: '' }),
      tarHeader({ name: 'data/file', type: '\0', magic: '' }),
      tarEnd,
    ];
    const { output, through } = await renamed(old, strip('data'));
    expect(through.hasRoot).toBe(true);
    expect(output).toEqual(
      Buffer.concat([
        tarHeader({ name: './', type: '5', magic: '' }),
        tarHeader({ name: './sub/', type: '5', magic: '' }),
        tarHeader({ name: './file', type: '\0', magic: '' }),
        tarEnd,
      ]),
    );
  });

  test('get something in front of them', async () => {
    const stream = [root, tarEntry('./a', 'x'), tarHeader({ name: './b/', type: '5' }), tarEnd];
    const options = { foreign: false, makeRoot: false };
    const { output } = await renamed(stream, below('var/lib'), options);
    expect((await listTar(output)).map(({ name }) => name)).toEqual([
      ...['var/lib/', 'var/lib/a', 'var/lib/b/'],
    ]);
  });
});

describe('long names', () => {
  const long = `data/${'folder/'.repeat(40)}\xff\xfe`;
  const short = `./${'folder/'.repeat(40)}\xff\xfe`;

  test.each([
    [
      'of GNU',
      [tarEntry('././@LongLink', `${long}\0`, 'L'), tarEntry(long.slice(0, 100), 'content')],
    ],
    ['of pax', [paxEntry({ path: long }), tarEntry('data/short', 'content')]],
    [
      'of pax, over others',
      [paxEntry({ path: 'x' }), paxEntry({ path: long }), tarEntry('y', 'content')],
    ],
  ])('%s are read, and written as those of GNU', async (_name, entry) => {
    const { output } = await renamed([...entry, tarEnd], strip('data'));
    const longLink = tarHeader({
      ...{ name: '././@LongLink', type: 'L', size: short.length + 1, magic: 'ustar\x0000' },
    });
    expect(output.subarray(512)).toEqual(
      Buffer.concat([
        ...[longLink, tarContent(`${short}\0`)],
        ...[tarEntry(short.slice(0, 100), 'content'), tarEnd],
      ]),
    );
  });

  test('of POSIX, in two fields, become short ones where they fit', async () => {
    const header = tarHeader({ name: 'b'.repeat(60), prefix: `data/${'a'.repeat(30)}` });
    const { output } = await renamed([header, tarEnd], strip('data'));
    const name = `./${'a'.repeat(30)}/${'b'.repeat(60)}`;
    expect(output.subarray(512)).toEqual(Buffer.concat([tarHeader({ name }), tarEnd]));
  });

  test.each([99, 100, 101])('of %i bytes are whole', async (length) => {
    const name = `./${'n'.repeat(length - 2)}`;
    expect(await names([root, tarEntry(name.slice(2), ''), tarEnd], strip(''))).toEqual([
      './',
      name,
    ]);
  });

  test('of hard links are changed alike, those of symlinks never', async () => {
    const target = `data/${'t/'.repeat(60)}end`;
    const { output } = await renamed(
      [
        paxEntry({ linkpath: target }),
        tarHeader({ name: 'data/hard', type: '1', linkName: 'data/t' }),
        paxEntry({ linkpath: target }),
        tarHeader({ name: 'data/soft', type: '2', linkName: 'data/t' }),
        tarEntry('././@LongLink', `${target}\0`, 'K'),
        tarHeader({ name: 'data/soft2', type: '2', linkName: target.slice(0, 100) }),
        tarHeader({ name: 'data/soft3', type: '2', linkName: '../data' }),
        tarHeader({ name: 'data/hard2', type: '1', linkName: '/data/hard' }),
        tarEnd,
      ],
      strip('data'),
    );
    expect((await listTar(output)).map(({ name, linkName }) => [name, linkName])).toEqual([
      ['./', undefined],
      ['./hard', `.${target.slice(4)}`],
      ['./soft', target],
      ['./soft2', target],
      ['./soft3', '../data'],
      ['./hard2', './hard'],
    ]);
  });
});

describe('all else', () => {
  test('stays as it is: pax records, global headers, sizes, owners', async () => {
    const records = { uid: '3000000', 'SCHILY.xattr.user.a': '\xff\n=', mtime: '1.5' };
    const nineGiB = Buffer.alloc(12);
    nineGiB[0] = 0x80;
    nineGiB.writeBigUInt64BE(BigInt(9 * 1024 ** 3), 4);
    const stream = [
      paxEntry({ comment: 'of all' }, 'g'),
      root,
      paxEntry(records),
      tarEntry('./attributes', 'x'),
      paxEntry({ 'SCHILY.acl.access': 'user::r--' }),
      tarHeader({ name: './folder/', type: '5', size: 4096 }),
      tarHeader({ name: './fifo', type: '6' }),
      tarEnd,
    ];
    const { output } = await renamed(stream, strip(''));
    expect(output).toEqual(Buffer.concat(stream));
    const big = renamed([root, tarHeader({ name: './big', size: nineGiB }), tarEnd], strip(''));
    await expect(big).rejects.toMatchObject(refusal('ends in the middle'));
  });

  test('that pax records say stays when a path among them goes', async () => {
    const stream = [
      root,
      paxEntry({ path: 'data/x', mtime: '1.5', 'SCHILY.xattr.user.a': '\xff' }),
    ];
    const { output } = await renamed([...stream, tarEntry('y', 'z'), tarEnd], strip(''));
    const record = paxEntry({ mtime: '1.5', 'SCHILY.xattr.user.a': '\xff' }).subarray(512);
    expect(output.subarray(1024, 1536)).toEqual(record);
    expect(output.subarray(1536)).toEqual(Buffer.concat([tarEntry('./data/x', 'z'), tarEnd]));
  });

  test('that is said of all entries stays where the next one is left out', async () => {
    const forAll = paxEntry({ comment: 'x' }, 'g');
    const stream = [forAll, tarEntry('other', ''), tarHeader({ name: 'data/', type: '5' }), tarEnd];
    const { output } = await renamed(stream, strip('data'));
    expect(output).toEqual(Buffer.concat([forAll, root, tarEnd]));
  });
});

describe('files with holes', () => {
  const octal = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;

  /** As GNU tar wrote them before pax: pieces of 512 bytes, the first four in the header, then 21 in each block. */
  function oldSparse(name: string, pieces: number, realBytes: number): Buffer {
    const header = tarHeader({ name, type: 'S', size: pieces * 512, magic: 'ustar  ' });
    const place = (block: Buffer, start: number, from: number, count: number): void => {
      for (let i = 0; i < count && from + i < pieces; i++) {
        block.write(octal((from + i) * 1024) + octal(512), start + i * 24, 'latin1');
      }
    };
    place(header, 386, 0, 4);
    header[482] = pieces > 4 ? 1 : 0;
    header.write(octal(realBytes), 483, 'latin1');
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const more = [];
    for (let from = 4; from < pieces; from += 21) {
      const block = Buffer.alloc(512);
      place(block, 0, from, 21);
      block[504] = from + 21 < pieces ? 1 : 0;
      more.push(block);
    }
    return Buffer.concat([header, ...more, Buffer.alloc(pieces * 512, 'd')]);
  }

  test.each([0, 1, 4, 5, 25, 26, 60])(
    "in GNU's old format come out in its newer one: %i pieces",
    async (pieces) => {
      const realBytes = pieces * 1024 + 7;
      const { output } = await renamed(
        [oldSparse('data/sparse', pieces, realBytes), tarEntry('data/next', 'x'), tarEnd],
        strip('data'),
      );
      const numbers = [pieces, ...Array.from({ length: pieces }, (_, i) => [i * 1024, 512]).flat()];
      const map = tarContent(`${numbers.join('\n')}\n`);
      const records = {
        'GNU.sparse.major': '1',
        'GNU.sparse.minor': '0',
        'GNU.sparse.name': './sparse',
        'GNU.sparse.realsize': String(realBytes),
      };
      const size = map.length + pieces * 512;
      expect(output.subarray(1024)).toEqual(
        Buffer.concat([
          paxEntry(records).subarray(512),
          tarHeader({ name: './GNUSparseFile.0/sparse', size, magic: 'ustar\x0000' }),
          map,
          Buffer.alloc(pieces * 512, 'd'),
          tarEntry('./next', 'x'),
          tarEnd,
        ]),
      );
    },
  );

  test('whose map cannot be are refused', async () => {
    const short = renamed([oldSparse('x', 4, 100), tarEnd], strip(''));
    await expect(short).rejects.toMatchObject(refusal('impossible map of holes'));
  });

  test('in pax format have their name in two places', async () => {
    const records = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' };
    const stream = [
      paxEntry({ ...records, 'GNU.sparse.name': 'data/sparse', 'GNU.sparse.realsize': '9' }),
      tarEntry('data/GNUSparseFile.77/sparse', '1\n0\n9\n'),
      tarEnd,
    ];
    const { output } = await renamed(stream, strip('data'));
    const said = { ...records, 'GNU.sparse.name': './sparse', 'GNU.sparse.realsize': '9' };
    expect(output.subarray(1024)).toEqual(
      Buffer.concat([
        paxEntry(said).subarray(512),
        tarEntry('./GNUSparseFile.0/sparse', '1\n0\n9\n'),
        tarEnd,
      ]),
    );
  });

  test('in the old format are nothing that snapvol has made', async () => {
    const own = renamed([oldSparse('x', 1, 1024), tarEnd], strip(''), {
      ...{ foreign: false, makeRoot: false },
    });
    await expect(own).rejects.toMatchObject(refusal('unknown entry type'));
  });
});

describe('what is refused', () => {
  const link = tarHeader({ name: 'data/a', type: '1', linkName: 'other/b' });
  const upwards = tarHeader({ name: 'data/a', type: '1', linkName: 'data/../../b' });

  test.each([
    ['a path that leads out', [tarEntry('data/../../etc/passwd', '')], 'with ".."'],
    ['a path that is nothing but out', [tarHeader({ name: '..', type: '5' })], 'with ".."'],
    ['one that only pax tells', [paxEntry({ path: 'data/../x' }), tarEntry('x', '')], 'with ".."'],
    [
      'one of a file with holes',
      [paxEntry({ 'GNU.sparse.name': '../x' }), tarEntry('x', '')],
      '".."',
    ],
    ['a hard link that leads out', [upwards], 'with ".."'],
    ['a hard link to what is left out', [link], 'data/a leads to other/b, which is left out'],
    ['a root that is no folder', [tarEntry('data', 'x')], 'data is no folder'],
    ['a root that is a link', [tarHeader({ name: 'data', type: '2', linkName: 'x' })], 'no folder'],
    ['a folder with content', [tarEntry('data/', 'x')], 'has content'],
    ['one path for all', [paxEntry({ path: 'x' }, 'g'), tarEntry('x', '')], 'global header'],
    ['one size for all', [paxEntry({ size: '5' }, 'g'), tarEntry('x', '')], 'global header'],
    ['a volume label', [tarHeader({ name: 'x', type: 'V' })], 'unknown entry type'],
  ])('%s', async (_name, chunks, message) => {
    await expect(renamed([...chunks, tarEnd], strip('data'))).rejects.toMatchObject(
      refusal(message),
    );
  });

  test.each([
    ['no end mark', [root]],
    ['an end in the content', [root, tarEntry('./x', 'x'.repeat(2000)).subarray(0, 900)]],
    ['another archive behind it', [root, tarEnd, root, tarEnd]],
    ['garbage behind it', [root, tarEnd, Buffer.alloc(512), Buffer.from('x')]],
    ['text', [Buffer.from('This is no tar stream. '.repeat(100))]],
  ])('what is no whole archive: %s', async (_name, chunks) => {
    const whole = Buffer.concat(chunks);
    for (const given of [[whole], Array.from(whole, (byte) => Buffer.from([byte]))]) {
      await expect(renamed(given, strip(''))).rejects.toMatchObject(
        refusal('not a whole tar stream'),
      );
    }
  });

  test('but zeros behind the end mark are padding', async () => {
    const { output } = await renamed([root, tarEnd, Buffer.alloc(9000)], strip(''));
    expect(output).toEqual(Buffer.concat([root, tarEnd]));
  });
});

describe('any archive', () => {
  const segment = fc
    .array(
      fc.integer({ min: 1, max: 255 }).filter((byte) => byte !== 0x2f),
      {
        minLength: 1,
        maxLength: 60,
      },
    )
    .map((bytes) => String.fromCharCode(...bytes))
    .filter((text) => text !== '.' && text !== '..');
  const path = fc.array(segment, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
  const spelling = fc.constantFrom('GNU', 'pax');
  const entry = fc.record({
    path,
    spelling,
    type: fc.constantFrom('0', '2', '5'),
    content: fc.string({ maxLength: 900 }),
    pax: fc.boolean(),
  });
  const cuts = fc.array(fc.nat(), { maxLength: 20 });

  function written({
    path: name,
    spelling,
    type,
    content,
    pax,
  }: {
    path: string;
    spelling: string;
    type: string;
    content: string;
    pax: boolean;
  }): Buffer {
    // The other program takes what pax records say for UTF-8.
    const how = /[\x80-\xff]/.test(name) ? 'GNU' : spelling;
    const full = `data/${name}${type === '5' ? '/' : ''}`;
    const long =
      how === 'pax' || full.length <= 100 ? [] : [tarEntry('././@LongLink', `${full}\0`, 'L')];
    const records = {
      ...(how === 'pax' && { path: full }),
      ...(pax && { 'SCHILY.xattr.user.x': content }),
    };
    const header =
      type === '0'
        ? tarEntry(full.slice(0, 100), content)
        : tarHeader({
            name: full.slice(0, 100),
            type,
            ...(type === '2' && { linkName: 'data/x' }),
          });
    return Buffer.concat([
      ...long,
      ...(Object.keys(records).length > 0 ? [paxEntry(records)] : []),
      header,
    ]);
  }

  test('comes back after its folder was taken off and put on, wherever it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), cuts, async (entries, places) => {
        const folder = tarHeader({ name: 'data/', type: '5' });
        const stream = Buffer.concat([folder, ...entries.map(written), tarEnd]);
        const ends = [...new Set([0, ...places.map((at) => at % stream.length), stream.length])];
        ends.sort((a, b) => a - b);
        const chunks = ends.slice(1).map((end, i) => stream.subarray(ends[i], end));
        const stripped = await renamed(chunks, strip('data'));
        expect(stripped.output).toEqual((await renamed([stream], strip('data'))).output);
        const options = { foreign: false, makeRoot: false };
        const { output } = await renamed([stripped.output], below('data'), options);
        const [before, after] = [await listTar(stream), await listTar(output)];
        expect(after).toEqual(before);
        expect((await listTar(stripped.output)).map(({ name }) => name)).toEqual(
          before.map(({ name }) => name.replace('data', '.')),
        );
      }),
    );
  });
});
