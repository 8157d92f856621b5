import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { silentLog } from '../../../src/index.ts';
import { findZstd } from '../../../src/runtime/compression.ts';
import { createPlainArchiver } from '../../../src/runtime/plain-archive.ts';
import type {
  ArchiveSource,
  PlainArchiver,
  Strip,
  TakenArchive,
} from '../../../src/runtime/plain-archiver.ts';
import type { ExpectedArchive } from '../../../src/runtime/volume-copier.ts';
import { useScratch } from '../../support/store-bundles.ts';
import { tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';
import { listTar } from '../../support/tar-list.ts';

const scratch = useScratch();
const { signal } = new AbortController();
const program = await findZstd(process.env['PATH'] ?? '');
/** The tar of this machine, whichever it is. */
const isGnu = execFileSync('tar', ['--version'], { encoding: 'utf8' }).includes('GNU');

let dir: string;
let archiver: PlainArchiver;

beforeEach(async () => {
  dir = await scratch.folder('archives');
  archiver = createPlainArchiver({ log: silentLog, zstd: program });
});

const auto: Strip = { kind: 'auto' };
const folder = (name: string, ...others: string[]): Strip => ({
  kind: 'folder',
  folder: name,
  others,
});

async function take(
  source: ArchiveSource | Buffer,
  strip: Strip = auto,
  by = archiver,
): Promise<TakenArchive & { readonly file: string; readonly expected: ExpectedArchive }> {
  const file = join(dir, `${readdirSync(dir).length}.tar.zst`);
  const from = Buffer.isBuffer(source) ? await by.open(saved(source)) : source;
  const taken = await by.take(from, strip, file, { kind: 'zstd', level: 1 }, signal);
  return { ...taken, file, expected: { ...taken, compression: 'zstd' } };
}

function saved(bytes: Buffer): string {
  const file = join(dir, `${readdirSync(dir).length}.archive`);
  writeFileSync(file, bytes);
  return file;
}

const namesIn = async (file: string): Promise<string[]> =>
  (await listTar(zstdDecompressSync(readFileSync(file)))).map(({ name }) => name);

const recipe = Buffer.concat([
  tarHeader({ name: 'data/', type: '5' }),
  tarEntry('data/file', 'content'),
  tarEnd,
]);

describe('an archive is taken', () => {
  test.each([
    ['plain', recipe],
    ['from gzip', gzipSync(recipe)],
    [
      'from gzip in several parts',
      Buffer.concat([gzipSync(recipe.subarray(0, 700)), gzipSync(recipe.subarray(700))]),
    ],
    ['from gzip, padded', Buffer.concat([gzipSync(recipe), Buffer.alloc(2000)])],
    ['from zstd', zstdCompressSync(recipe)],
    [
      'from zstd with a frame to skip',
      Buffer.concat([Buffer.from('502a4d180200000001ff', 'hex'), zstdCompressSync(recipe)]),
    ],
    ['plain, padded', Buffer.concat([recipe, Buffer.alloc(9000)])],
  ])('%s, whatever it is called', async (_name, bytes) => {
    const { file, ...taken } = await take(bytes);
    expect(taken).toMatchObject({
      ...{ folder: 'data', absolutePath: '/data', taken: 2, leftOut: 0, entries: 2, notes: [] },
    });
    expect(await namesIn(file)).toEqual(['./', './file']);
  });

  test('though a name in it looks like another format', async () => {
    const { file } = await take(Buffer.concat([tarEntry('BZh91AY/file', 'x'), tarEnd]));
    expect(await namesIn(file)).toEqual(['./', './file']);
  });

  test("with Node's own zstd: whole, or not at all", async () => {
    const own = createPlainArchiver({ log: silentLog, zstd: undefined });
    expect((await take(zstdCompressSync(recipe), auto, own)).taken).toBe(2);
    const parts = [zstdCompressSync(recipe), zstdCompressSync(Buffer.alloc(10))];
    await expect(take(Buffer.concat(parts), auto, own)).rejects.toMatchObject({
      code: 'copy-failed',
      hint: expect.stringContaining('zstd'),
    });
  });

  test('from a stream, once, or from a copy of it', async () => {
    const stream = (): ArchiveSource => ({
      label: 'the stream',
      from: Readable.from(Array.from(gzipSync(recipe), (byte) => Buffer.from([byte]))),
    });
    expect((await take(stream(), folder('/data/'))).taken).toBe(2);
    const kept = await archiver.keep(stream(), join(dir, 'copy'), signal);
    expect(kept).toEqual({ label: 'the stream', from: join(dir, 'copy') });
    expect((await take(kept)).taken).toBe(2);
  });

  test('from a FIFO', async () => {
    const path = join(dir, 'fifo');
    execFileSync('mkfifo', [path]);
    const source = await archiver.open(path);
    const [taken] = await Promise.all([take(source, folder('data')), writeFile(path, recipe)]);
    expect(taken.taken).toBe(2);
  });

  test('folder by folder, each entry into the innermost', async () => {
    const both = Buffer.concat([
      ...[recipe.subarray(0, -1024), tarHeader({ name: 'config/', type: '5' })],
      ...[tarEntry('data/sub/x', 'x'), tarEntry('other', 'x'), tarEnd],
    ]);
    const outer = await take(both, folder('/data', 'config', 'data/sub/'));
    expect(await namesIn(outer.file)).toEqual(['./', './file']);
    expect(outer).toMatchObject({ taken: 2, leftOut: 3, absolutePath: '/data' });
    const inner = await take(both, folder('./data/sub', 'config', 'data'));
    expect(await namesIn(inner.file)).toEqual(['./', './x']);
    expect(inner.notes).toEqual([
      'the archive has no entry of the root folder: it is made with owner 0:0 and mode 755',
    ]);
    const all = await take(both, folder(''));
    expect(all).toMatchObject({ folder: '', absolutePath: undefined, taken: 5, leftOut: 0 });
  });

  test('with a guess of where it was only where tar wrote an absolute path', async () => {
    const relative = Buffer.concat([tarEntry('./data/x', ''), tarEnd]);
    expect(await take(relative)).toMatchObject({ folder: 'data', absolutePath: undefined });
    expect(await take(relative, folder('/data'))).toMatchObject({ absolutePath: '/data' });
    const bytes = Buffer.concat([tarEntry('d\xff/x', ''), tarEnd]);
    expect(await take(bytes)).toMatchObject({ absolutePath: undefined, taken: 1 });
  });

  test('to the same bytes each time', async () => {
    const [first, second] = [await take(recipe), await take(gzipSync(recipe))];
    expect(second.sha256).toBe(first.sha256);
  });

  test('without FIFOs and devices, which are told', async () => {
    const fifo = tarHeader({ name: 'data/fifo', type: '6' });
    const { notes, entries } = await take(Buffer.concat([fifo, recipe]), folder('data'));
    expect({ notes, entries }).toEqual({
      ...{ notes: ['left out FIFOs and device nodes: ./fifo'], entries: 3 },
    });
  });
});

describe('an archive is refused, and nothing is left', () => {
  const gz = gzipSync(recipe);
  const zst = zstdCompressSync(recipe);
  const noisy = Buffer.concat([
    tarEntry('data/x', Buffer.from(gz).toString('latin1').repeat(50)),
    tarEnd,
  ]);

  test.each([
    ['cut off', recipe.subarray(0, -600), 'it ends in the middle'],
    ['cut off in gzip', gzipSync(noisy).subarray(0, -200), 'does not decompress'],
    ['cut off in the last bytes of gzip', gz.subarray(0, -1), 'does not decompress'],
    ['cut off in zstd', zst.subarray(0, -3), ''],
    [
      'damaged in gzip',
      Buffer.concat([gz.subarray(0, -8), Buffer.alloc(8, 1)]),
      'does not decompress',
    ],
    [
      'with garbage behind gzip',
      Buffer.concat([gz, Buffer.from('garbage')]),
      'does not decompress',
    ],
    ['with garbage behind zstd', Buffer.concat([zst, Buffer.from('garbage')]), ''],
    [
      'with garbage behind it',
      Buffer.concat([recipe, Buffer.from('garbage')]),
      'something follows',
    ],
    ['empty', Buffer.alloc(0), 'it is empty'],
    ['that is text', Buffer.from('no archive\n'.repeat(100)), 'not a whole tar stream'],
    ['with a path that leads out', Buffer.concat([tarEntry('a/../../b', ''), tarEnd]), '".."'],
  ])('%s', async (_name, bytes, message) => {
    for (const strip of [auto, folder('data')]) {
      await expect(take(bytes, strip)).rejects.toMatchObject({
        code: 'copy-failed',
        message: expect.stringMatching(new RegExp(`${dir}/.* cannot be imported: .*${message}`)),
      });
    }
    expect(readdirSync(dir).filter((name) => name.endsWith('.zst'))).toEqual([]);
  });

  test.each([
    ['bzip2', '425a6839'],
    ['xz', 'fd377a585a0000'],
    ['lz4', '04224d1864'],
    ['compress', '1f9d90'],
    ['zip', '504b030414'],
    ['7-Zip', '377abcaf271c'],
  ])('of the format %s, with what to do', async (name, begin) => {
    const bytes = Buffer.concat([Buffer.from(begin, 'hex'), Buffer.alloc(2000, 7)]);
    await expect(take(bytes)).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringContaining(`is in the format of ${name}`),
      hint: expect.any(String),
    });
  });

  test('with nothing in the folder', async () => {
    for (const [bytes, strip] of [
      [recipe, folder('/dat')],
      [tarEnd, auto],
    ] as const) {
      await expect(take(bytes, strip)).rejects.toMatchObject({
        code: 'invalid-settings',
        message: expect.stringContaining('there is nothing'),
      });
    }
  });

  test('that is not there, or a folder', async () => {
    for (const [file, message] of [
      [join(dir, 'x'), 'there is no such file'],
      [dir, 'is a folder'],
    ] as const) {
      await expect(archiver.open(file)).rejects.toMatchObject({
        ...{ code: 'invalid-settings', message: expect.stringContaining(message) },
      });
    }
  });

  test('at once where it is no tar, however much would come', async () => {
    let chunks = 0;
    const text = Readable.from({
      *[Symbol.iterator]() {
        for (; chunks < 1000; chunks++) yield Buffer.alloc(1000, 'y\n');
      },
    });
    const kept = archiver.keep({ label: 'yes', from: text }, join(dir, 'copy'), signal);
    await expect(kept).rejects.toMatchObject({
      ...{ code: 'copy-failed', message: expect.stringContaining('yes cannot be imported: not a') },
    });
    expect(chunks).toBeLessThan(100);
    expect(text.destroyed).toBe(true);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('when it is cancelled while nothing comes', async () => {
    const controller = new AbortController();
    const from = new PassThrough();
    const waiting = archiver.take(
      ...([
        { label: 'nothing', from },
        folder(''),
        join(dir, 'x'),
        { kind: 'none' },
        controller.signal,
      ] as const),
    );
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    expect(from.destroyed).toBe(true);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('an archive is written', () => {
  const toFile = (file: string, replace = false) =>
    ({ kind: 'file', file: join(dir, file), replace }) as const;

  async function write(
    given: Awaited<ReturnType<typeof take>>,
    prefix: string,
    format: 'tar' | 'tar.gz' | 'tar.zst',
    name = 'out',
  ): Promise<Buffer> {
    await using output = await archiver.create(toFile(name));
    const { sizeBytes } = await archiver.write(
      given.file,
      given.expected,
      prefix,
      format,
      output,
      signal,
    );
    expect(existsSync(join(dir, name))).toBe(false);
    await output.finish();
    const bytes = readFileSync(join(dir, name));
    expect(bytes.length).toBe(sizeBytes);
    return bytes;
  }

  test.each([
    ['tar', (bytes: Buffer) => bytes],
    ['tar.gz', gunzipSync],
    ['tar.zst', zstdDecompressSync],
  ] as const)('as %s', async (format, unpack) => {
    const given = await take(recipe);
    expect(unpack(await write(given, '/data/', format, 'a'))).toEqual(recipe);
    expect(
      (await listTar(unpack(await write(given, '.', format, 'b')))).map(({ name }) => name),
    ).toEqual([...['./', './file']]);
  });

  test('to a stream, which stays open', async () => {
    const given = await take(recipe);
    const stream = new PassThrough();
    await using output = await archiver.create({ kind: 'stream', stream });
    await archiver.write(given.file, given.expected, 'data', 'tar', output, signal);
    expect(stream.writable).toBe(true);
    stream.end();
    expect(await buffer(stream)).toEqual(recipe);
  });

  test.each([
    ['another sha256', { sha256: '0'.repeat(64) }],
    ['another number of entries', { entries: 3 }],
    ['another number of tar bytes', { tarBytes: 99_999 }],
    ['fewer tar bytes', { tarBytes: 1024 }],
  ])('but is no file with %s', async (_name, wrong) => {
    const given = await take(recipe);
    const before = readdirSync(dir);
    await expect(
      write({ ...given, expected: { ...given.expected, ...wrong } }, 'data', 'tar.gz'),
    ).rejects.toMatchObject({ code: 'snapshot-corrupt' });
    expect(readdirSync(dir)).toEqual(before);
  });

  test('but is no file where it was not read or written to its end', async () => {
    const given = await take(recipe);
    const before = readdirSync(dir);
    const aborted = AbortSignal.abort();
    {
      await using output = await archiver.create(toFile('out'));
      const cancelled = archiver.write(given.file, given.expected, '.', 'tar', output, aborted);
      await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    }
    expect(readdirSync(dir)).toEqual(before);
    const broken = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('full'), { code: 'ENOSPC' }));
      },
    });
    await using output = await archiver.create({ kind: 'stream', stream: broken });
    const full = archiver.write(given.file, given.expected, '.', 'tar', output, signal);
    await expect(full).rejects.toMatchObject({
      ...{ code: 'copy-failed', message: expect.stringContaining('disk is full') },
    });
  });

  test('over no file, unless it is to be replaced, and over nothing else ever', async () => {
    const given = await take(recipe);
    await write(given, 'data', 'tar');
    await expect(archiver.create(toFile('out'))).rejects.toMatchObject({ code: 'name-taken' });
    await symlink('out', join(dir, 'link'));
    {
      await using output = await archiver.create(toFile('link', true));
      await archiver.write(given.file, given.expected, '.', 'tar', output, signal);
      await output.finish();
    }
    expect(readlinkSync(join(dir, 'link'))).toBe('out');
    expect((await listTar(readFileSync(join(dir, 'out')))).map(({ name }) => name)).toEqual([
      './',
      './file',
    ]);
    for (const file of ['/dev/null', dir]) {
      const refused = archiver.create({ kind: 'file', file, replace: true });
      await expect(refused).rejects.toMatchObject({ code: 'invalid-settings' });
    }
    await expect(archiver.create(toFile('none/out'))).rejects.toMatchObject({
      ...{ code: 'invalid-settings', message: expect.stringContaining('no such folder') },
    });
  });

  test('over no file that came meanwhile', async () => {
    const given = await take(recipe);
    await using output = await archiver.create(toFile('out'));
    await archiver.write(given.file, given.expected, '.', 'tar', output, signal);
    writeFileSync(join(dir, 'out'), 'of somebody else');
    await expect(output.finish()).rejects.toMatchObject({ code: 'name-taken' });
    expect(readFileSync(join(dir, 'out'), 'utf8')).toBe('of somebody else');
  });
});

describe('the tar of this machine', () => {
  /** Kind, mode, time, content and other names of everything in a folder. */
  function treeOf(root: string): Record<string, unknown> {
    const first = new Map<number, string>();
    const visit = (path: string): [string, unknown][] => {
      const found = lstatSync(path);
      const name = path.slice(root.length);
      const sameAs = first.get(found.ino) ?? name;
      first.set(found.ino, sameAs);
      const what = found.isSymbolicLink()
        ? readlinkSync(path)
        : found.isFile()
          ? readFileSync(path, 'latin1')
          : '';
      const facts = {
        mode: found.mode.toString(8),
        seconds: Math.floor(found.mtimeMs / 1000),
        what,
        sameAs,
      };
      const inside = found.isDirectory() ? readdirSync(path).sort() : [];
      return [[name, facts], ...inside.flatMap((each) => visit(join(path, each)))];
    };
    return Object.fromEntries(visit(root));
  }

  function fill(root: string, long: boolean): void {
    const script = `
      mkdir -p data/sub/deeper data/empty; cd data
      echo content > file; chmod 640 file; ln file sub/hard; ln -s ../file sub/soft; ln -s /etc/passwd far
      head -c 300000 /dev/urandom > sub/random; touch -t 200102030405 sub/random
      ${long ? `d=$(printf 'd%.0s' {1..90}); mkdir -p $d/$d; echo x > $d/$d/file; ln $d/$d/file $d/$d/hard; ln -s $d/$d/file long` : ''}
      dd if=/dev/zero of=sparse bs=1 count=0 seek=3000000 2>/dev/null; for at in 0 5 9; do echo data | dd of=sparse bs=200000 seek=$at conv=notrunc 2>/dev/null; done
      chmod 2750 sub; touch -t 199912312359 sub empty .`;
    execFileSync('bash', ['-euc', script], { cwd: root });
  }

  const gnu = isGnu ? 'gnu' : 'gnutar';
  const holes = isGnu ? ['--sparse'] : [];

  test.each([
    ['v7', 'data', []],
    ['ustar', 'data', []],
    [gnu, 'data', []],
    [gnu, 'data', holes],
    ['pax', 'data', []],
    ['pax', 'data', holes],
    ['pax', './data', []],
  ])(
    'writes what is taken, and reads what is written: format %s of %s %j',
    async (format, what, more) => {
      const before = await scratch.folder('before');
      fill(before, format !== 'v7' && format !== 'ustar');
      const made = join(dir, 'made');
      execFileSync('tar', ['-c', '-z', '-f', made, `--format=${format}`, ...more, what], {
        cwd: before,
      });
      const given = await take(await archiver.open(made));
      expect(given.folder).toBe('data');

      const output = await archiver.create({
        kind: 'file',
        file: join(dir, 'out.tar.gz'),
        replace: false,
      });
      await archiver.write(given.file, given.expected, 'data', 'tar.gz', output, signal);
      await output.finish();
      const after = await scratch.folder('after');
      execFileSync('tar', ['-x', '-p', '-z', '-f', join(dir, 'out.tar.gz')], { cwd: after });
      expect(treeOf(join(after, 'data'))).toEqual(treeOf(join(before, 'data')));

      // And the archive in the snapshot, as somebody without snapvol reads it.
      const byHand = await scratch.folder('by-hand');
      mkdirSync(join(byHand, 'data'));
      const input = zstdDecompressSync(readFileSync(given.file));
      execFileSync('tar', ['-x', '-p', '-f', '-'], { cwd: join(byHand, 'data'), input });
      expect(treeOf(join(byHand, 'data'))).toEqual(treeOf(join(before, 'data')));
    },
  );
});
