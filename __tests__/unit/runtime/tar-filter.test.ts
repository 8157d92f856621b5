import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pack } from 'tar-stream';

import { TarFilter, type TarFilterOptions } from '../../../src/runtime/tar-filter.ts';
import { TarSieve, type TarSummary } from '../../../src/runtime/tar-sieve.ts';
import { paxEntry, tarContent, tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';

/** Sends chunks through a filter. */
async function filter(
  chunks: readonly Buffer[],
  onBytes?: (bytes: number) => void,
  options: TarFilterOptions = {},
): Promise<{ output: Buffer; root: readonly Buffer[]; summary: TarSummary; inputBytes: number }> {
  const through = new TarFilter({ onBytes, ...options });
  const source = Readable.from(chunks);
  source.on('error', (error) => through.destroy(error));
  const output = await buffer(source.pipe(through));
  expect(sifted(chunks, options)).toEqual(output);
  const { root, summary, inputBytes } = through;
  return { output, root, summary, inputBytes };
}

/** What goes through when one piece of memory holds all chunks, one after the other. */
function sifted(chunks: readonly Buffer[], options: TarFilterOptions): Buffer {
  const sieve = new TarSieve(options);
  const memory = Buffer.alloc(Math.max(...chunks.map(({ length }) => length)));
  const output = chunks.map((chunk) => {
    chunk.copy(memory);
    return Buffer.concat(sieve.take(memory.subarray(0, chunk.length)));
  });
  return Buffer.concat(output);
}

const corrupt = (message: string) => ({
  code: 'snapshot-corrupt',
  message: expect.stringContaining(message),
});

const longName = `${'folder/'.repeat(30)}file`;
const folders = tarHeader({ name: './', type: '5' });

/** A stream with one of everything that is let through. */
const everything = Buffer.concat([
  folders,
  tarEntry('./file', 'content'),
  tarEntry('./blocks', Buffer.alloc(1536, 7)),
  tarEntry('./old', 'old', '\0'),
  tarEntry('./contiguous', 'x'.repeat(700), '7'),
  tarHeader({ name: './link', type: '1', linkName: './file' }),
  tarHeader({ name: './symlink', type: '2', linkName: 'file' }),
  // A folder with a size, which old programs wrote: there is no content all the same.
  tarHeader({ name: './folder/', type: '5', size: 4096 }),
  tarEntry('././@LongLink', `${longName}\0`, 'L'),
  tarEntry('././@LongLink', `${longName}\0`, 'K'),
  tarHeader({ name: longName.slice(0, 100), type: '1', linkName: longName.slice(0, 100) }),
  paxEntry({ path: longName, mtime: '1.5' }),
  tarEntry('./short', 'long named'),
  tarEnd,
]);

describe('what is let through', () => {
  test('everything comes out unchanged', async () => {
    const { output, root, summary, inputBytes } = await filter([everything]);
    expect(output).toEqual(everything);
    expect(inputBytes).toBe(everything.length);
    expect(root).toEqual([folders]);
    expect(summary).toEqual({
      tarBytes: everything.length,
      entries: 10,
      features: ['pax'],
      notes: [],
      contents: { files: 5, farLinks: [] },
    });
  });

  test('in one piece and uncopied, whatever is in a chunk', async () => {
    const filtered = Readable.from([everything]).pipe(new TarFilter());
    const pieces = (await filtered.toArray()) as Buffer[];
    expect(pieces).toEqual([everything]);
    expect(pieces[0]?.buffer === everything.buffer).toBe(true);
  });

  test('so does what another program wrote', async () => {
    const tar = pack();
    tar.entry({ name: './', type: 'directory' });
    tar.entry({ name: './file' }, 'content');
    tar.entry({ name: `./${longName}` }, 'content');
    tar.entry({ name: './\u65e5\u672c', pax: { 'SCHILY.xattr.user.x': 'y' } }, Buffer.alloc(5000));
    tar.finalize();
    const bytes = await buffer(tar);
    const { output, summary } = await filter([bytes]);
    expect(output).toEqual(bytes);
    expect(summary).toMatchObject({ entries: 4, features: ['pax', 'xattrs'] });
  });

  test('one byte at a time makes no difference', async () => {
    const whole = await filter([everything]);
    const bytes = Array.from(everything, (byte) => Buffer.from([byte]));
    expect(await filter(bytes)).toEqual(whole);
  });

  test('no cut makes a difference', async () => {
    const stream = Buffer.concat([
      tarHeader({ name: './fifo', type: '6' }),
      everything.subarray(0, -1024),
      paxEntry({ path: 'x/'.repeat(200) }),
      tarHeader({ name: './device', type: '3' }),
      tarEnd,
      Buffer.alloc(3000),
    ]);
    const whole = await filter([stream]);
    const cuts = fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const ends = [...new Set([0, ...places, stream.length])].sort((a, b) => a - b);
        const chunks = ends.slice(1).map((end, i) => stream.subarray(ends[i], end));
        const { output, summary } = await filter(chunks);
        expect(output.equals(whole.output)).toBe(true);
        expect(summary).toEqual(whole.summary);
      }),
    );
  });

  test('the root folder with its extended header is kept aside', async () => {
    const extended = paxEntry({ mtime: '12.5' });
    const { root } = await filter([extended, folders, tarEntry('./a', 'b'), tarEnd]);
    expect(Buffer.concat(root)).toEqual(Buffer.concat([extended, folders]));
  });

  test('the features are those of a reader of the extended headers', async () => {
    const features = async (records: Readonly<Record<string, string>>, type?: string) =>
      (await filter([paxEntry(records, type), tarEntry('./x', ''), tarEnd])).summary.features;
    expect(await features({ mtime: '1.5', atime: '2', ctime: '3' })).toEqual([]);
    expect(await features({ uid: '3000000' })).toEqual(['pax']);
    expect(await features({ 'GNU.sparse.major': '1' })).toEqual(['sparse']);
    expect(await features({ 'SCHILY.acl.access': 'user::r--' })).toEqual(['xattrs']);
    expect(await features({ 'SCHILY.xattr.user.a': '\u00ff\n=' })).toEqual(['xattrs']);
    expect(await features({ comment: 'of all' }, 'g')).toEqual(['pax']);
  });
});

describe('sizes', () => {
  const nineGiB = 9 * 1024 ** 3;
  const base256 = Buffer.alloc(12);
  base256[0] = 0x80;
  base256.writeBigUInt64BE(BigInt(nineGiB), 4);

  test.each([
    ['of GNU, in binary', tarHeader({ name: './big', size: base256 })],
    [
      'of busybox, in twelve octal digits',
      tarHeader({ name: './big', size: Buffer.from(nineGiB.toString(8).padStart(12, '0')) }),
    ],
    [
      'of pax, in an extended header',
      Buffer.concat([paxEntry({ size: String(nineGiB) }), tarHeader({ name: './big' })]),
    ],
  ])('from 8 GiB on are understood: %s', async (_name, header) => {
    const seen: number[] = [];
    // The content is too much for a test. But the next bytes are content: zeros, that is, and no end mark.
    const short = filter([header, tarEnd, tarEnd], (bytes) => seen.push(bytes));
    await expect(short).rejects.toMatchObject(corrupt('ends in the middle'));
    expect(seen.at(-1)).toBe(header.length + 2 * tarEnd.length);
  });

  test.each([
    ['negative', Buffer.alloc(12, 0xff)],
    ['beyond counting', Buffer.from('80000000ffffffffffffffff', 'hex')],
    ['not octal', Buffer.from('0000000009x\0')],
  ])('that are impossible are refused: %s', async (_name, size) => {
    const stream = [tarHeader({ name: './x', size }), tarEnd];
    await expect(filter(stream)).rejects.toMatchObject(corrupt('not a whole tar stream'));
  });

  test('that are impossible in an extended header are refused', async () => {
    for (const size of ['-1', '1e3', '', '99999999999999999999']) {
      const stream = [paxEntry({ size }), tarHeader({ name: './x' }), tarEnd];
      await expect(filter(stream)).rejects.toMatchObject(corrupt('impossible size'));
    }
  });
});

describe('what is left out', () => {
  const kept = Buffer.concat([tarEntry('./file', 'content'), tarEnd]);

  test('FIFOs and devices, with their extended headers and further names', async () => {
    const { output, summary } = await filter([
      tarHeader({ name: './fifo', type: '6' }),
      tarHeader({ name: './again', type: '1', linkName: './fifo' }),
      tarHeader({ name: './disk', type: '4' }),
      paxEntry({ path: longName, mtime: '1.5' }),
      tarHeader({ name: './short', type: '3' }),
      paxEntry({ linkpath: longName }),
      tarHeader({ name: './of-long', type: '1', linkName: './short' }),
      tarEntry('././@LongLink', `${longName}\0`, 'K'),
      tarHeader({ name: './of-long-too', type: '1', linkName: longName.slice(0, 100) }),
      kept,
    ]);
    expect(output).toEqual(kept);
    expect(summary).toMatchObject({ entries: 1, features: [] });
    expect(summary.notes).toEqual([
      `left out FIFOs and device nodes: ./fifo, ./again, ./disk, ${longName}, ./of-long and 1 more`,
    ]);
  });

  test('names in headers have a prefix where POSIX says so, and only there', async () => {
    const name = async (magic: string): Promise<string | undefined> => {
      const fifo = tarHeader({ name: 'fifo', prefix: 'a/b', type: '6', magic });
      return (await filter([fifo, tarEnd])).summary.notes[0];
    };
    expect(await name('ustar\0')).toContain('a/b/fifo');
    expect(await name('ustar  \0')).toMatch(/: fifo$/);
  });

  test('what could spoil a terminal is not in a note', async () => {
    const fifo = tarHeader({ name: './\x1b[31m\n\xc3\xa9', type: '6' });
    const { summary } = await filter([fifo, tarEnd]);
    expect(summary.notes).toEqual(['left out FIFOs and device nodes: ./?[31m?\u00e9']);
  });

  test('what is of no use, by its whole name, with its headers and further names', async () => {
    const leaveOut = ['spare/*', 'folder/*/*/*'].map((pattern) => ({ pattern, reason: 'x' }));
    const { output, summary } = await filter(
      [
        tarEntry('./spare/log', Buffer.alloc(3000, 1)),
        paxEntry({ 'GNU.sparse.name': './spare/holes', 'GNU.sparse.major': '1' }),
        tarEntry('./spare/GNUSparseFile.1/holes', 'x'),
        paxEntry({ path: longName, mtime: '1.5' }),
        tarEntry('./short', 'x'),
        tarHeader({ name: './spare/again', type: '1', linkName: './file' }),
        tarHeader({ name: './spare/folder/', type: '5' }),
        kept,
      ],
      undefined,
      { leaveOut },
    );
    expect(output).toEqual(kept);
    expect(summary).toMatchObject({ entries: 1, features: [], notes: [], contents: { files: 1 } });
  });

  test('but not the content of a name that stays', async () => {
    const link = tarHeader({ name: './kept', type: '1', linkName: './spare/log' });
    const stream = [tarEntry('./spare/log', 'x'), link, kept];
    const leaveOut = [{ pattern: 'spare/log', reason: 'x' }];
    await expect(filter(stream, undefined, { leaveOut })).rejects.toMatchObject({
      code: 'copy-failed',
      hint: 'Set "trim" to false',
    });
  });

  test('padding after the end mark', async () => {
    const { output, inputBytes } = await filter([kept, Buffer.alloc(10_240)]);
    expect(output).toEqual(kept);
    expect(inputBytes).toBe(kept.length + 10_240);
  });
});

describe('what is no whole tar stream', () => {
  const entry = tarEntry('./file', 'content');
  const badChecksum = Buffer.from(entry);
  badChecksum[0] = 0x21;

  test.each([
    ['nothing', []],
    ['no end mark', [entry]],
    ['half an end mark', [entry, Buffer.alloc(512)]],
    ['an end in a header', [entry, entry.subarray(0, 300)]],
    ['an end in the content', [tarEntry('./x', 'x'.repeat(2000)).subarray(0, 1500)]],
    ['a wrong checksum', [badChecksum, tarEnd]],
    ['text', [Buffer.from('This is no tar stream. '.repeat(100))]],
    ['a header after an end mark', [entry, Buffer.alloc(512), entry, tarEnd]],
    ['an unknown type', [tarHeader({ name: './x', type: 'S' }), tarEnd]],
    ['an extended header without its entry', [paxEntry({ path: 'x' }), tarEnd]],
    [
      'an extended header that never ends',
      [tarHeader({ name: 'x', type: 'x', size: 2 ** 31 }), Buffer.alloc(2 ** 21)],
    ],
    [
      'many empty extended headers',
      [...Array<Buffer>(2 ** 12).fill(tarHeader({ name: 'x', type: 'x' })), tarEnd],
    ],
    ['a record without a length', [tarEntry('x', 'path=x\n', 'x'), tarEnd]],
    ['a record that is too long', [tarEntry('x', '99 path=x\n', 'x'), tarEnd]],
    ['a record without an end', [tarEntry('x', '9 path=xy', 'x'), tarEnd]],
    ['a record without a value', [tarEntry('x', '7 path\n', 'x'), tarEnd]],
    ['a record of no length', [tarEntry('x', '0 path=x\n', 'x'), tarEnd]],
  ])('%s', async (_name, chunks) => {
    await expect(filter(chunks)).rejects.toMatchObject(corrupt('not a whole tar stream'));
  });

  test('an error of whoever counts the bytes breaks the stream', async () => {
    const broken = filter([everything], () => {
      throw new Error('too many');
    });
    await expect(broken).rejects.toThrow('too many');
  });

  test('content that looks like headers is content', async () => {
    const inner = Buffer.concat([tarHeader({ name: './fifo', type: '6' }), tarEnd]);
    const outer = Buffer.concat([tarEntry('./archive.tar', inner), tarEnd]);
    expect(tarContent(inner)).toEqual(inner);
    expect((await filter([outer])).output).toEqual(outer);
  });
});

test('symlinks that may lead out of the volume are told, others are not', async () => {
  const link = (name: string, linkName: string): Buffer => tarHeader({ name, type: '2', linkName });
  const { summary } = await filter([
    link('./pg_wal', '/elsewhere/wal'),
    link('./pg_tblspc/1', '../../space'),
    link('./inside', 'folder/../other'),
    link('./folder/up', '../file'),
    tarHeader({ name: './hard', type: '1', linkName: '/not/a/symlink' }),
    tarEnd,
  ]);
  expect(summary.contents).toEqual({
    files: 0,
    farLinks: [
      { path: 'pg_wal', target: '/elsewhere/wal' },
      { path: 'pg_tblspc/1', target: '../../space' },
    ],
  });
});
