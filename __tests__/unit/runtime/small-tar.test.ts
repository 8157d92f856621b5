import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { expect, test } from '@jest/globals';

import {
  extractHead,
  movedTo,
  packFiles,
  packTar,
  readTar,
} from '../../../src/runtime/small-tar.ts';
import { ownersOf } from '../../../src/runtime/tar-head.ts';
import { paxEntry, tarContent, tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';
import { listTar } from '../../support/tar-list.ts';

/** In chunks that end anywhere. */
function inChunks(tar: Buffer, chunkBytes: number): Readable {
  const count = Math.ceil(tar.length / chunkBytes);
  return Readable.from(
    Array.from({ length: count }, (_, i) => tar.subarray(i * chunkBytes, (i + 1) * chunkBytes)),
  );
}

async function firstOwners(tar: Readable): Promise<unknown> {
  for await (const part of readTar(tar)) return Buffer.isBuffer(part) ? part : ownersOf(part);
  return undefined;
}

test.each([0, 999, 262_143, 262_144, 2_097_151, 2_097_152, 1_000_680_000, 4_294_967_294])(
  'owner %s is written so that others read it, and read',
  async (id) => {
    const tar = await buffer(packTar([{ name: 'a/', type: '5', uid: id, gid: id, mode: 0o750 }]));
    const listed = { name: 'a/', type: 'directory', mode: 0o750, owner: `${id}:${id}`, seconds: 0 };
    expect(await listTar(tar)).toEqual([expect.objectContaining(listed)]);
    expect(await firstOwners(inChunks(tar, 100))).toEqual({ uid: id, gid: id });
  },
);

test('owners that only pax records tell, as Docker does with large ones, are read', async () => {
  const tar = [paxEntry({ uid: '4294967294' }), tarHeader({ name: 'a' }), tarEnd];
  expect(await firstOwners(Readable.from(tar))).toEqual({ uid: 4294967294, gid: 0 });
});

test('files are packed whole, whatever their names', async () => {
  const names = ['1.sql', `${'n'.repeat(200)}.sql`, 'Zürich.sh'];
  const files = names.map((name) => ({ name, content: Buffer.from(`of ${name}`) }));
  const packed = files.map(({ name, content }) => ({
    path: `/docker-entrypoint-initdb.d/${name}`,
    ...{
      mode: 0o755,
      owner: 0,
      group: 0,
      sizeBytes: content.length,
      content: Readable.from([content]),
    },
  }));
  const listed = await listTar(await buffer(packFiles(packed)));
  expect(listed.map(({ name }) => Buffer.from(name, 'latin1').toString())).toEqual(
    names.map((name) => `docker-entrypoint-initdb.d/${name}`),
  );
  expect(listed.map(({ mode, owner }) => [mode, owner])).toEqual(names.map(() => [0o755, '0:0']));
  const contents = files.map(({ content }) => content.toString('latin1'));
  expect(
    listed
      .slice(0, 1)
      .concat(listed[2] ?? [])
      .map(({ content }) => content),
  ).toEqual([contents[0], contents[2]]);
});

test('a file is moved with all that is said of it, whatever its length', async () => {
  const content = 'c'.repeat(700);
  const tar = [paxEntry({ uid: '4294967294' }), tarEntry('server.key', content), tarEnd];
  const path = `/opt/${'n'.repeat(200)}/server.key`;
  const moved = await buffer(movedTo(path, Readable.from(tar)));
  expect(await firstOwners(Readable.from([moved]))).toEqual({ uid: 4294967294, gid: 0 });
  const [only, ...others] = await listTar(moved);
  expect(others).toEqual([]);
  expect(only).toMatchObject({ name: path.slice(1), mode: 0o644 });
  expect(only?.content).toMatch(/^700 /);
  const brokenOff = Readable.from([tarEntry('a', content).subarray(0, 600)]);
  await expect(buffer(movedTo('/a', brokenOff))).rejects.toMatchObject({ code: 'copy-failed' });
});

const [first, second] = ['1'.repeat(700), '2'.repeat(10)];
const twoFiles = Buffer.concat([
  ...[tarHeader({ name: './', type: '5' }), tarEntry('a', first), tarEntry('b', second), tarEnd],
]);

test.each([1, 511, 512, 513, 10_000])(
  'contents come without padding, in chunks of %s',
  async (chunkBytes) => {
    const seen: string[] = [];
    for await (const part of readTar(inChunks(twoFiles, chunkBytes))) {
      if (Buffer.isBuffer(part)) seen.push((seen.pop() ?? '') + part.toString());
      else seen.push(part.name, '');
    }
    expect(seen).toEqual(['./', '', 'a', first, 'b', second]);
    expect(String(await extractHead(inChunks(twoFiles, chunkBytes), 5000))).toBe(first);
    expect(String(await extractHead(inChunks(twoFiles, chunkBytes), 600))).toBe(
      first.slice(0, 600),
    );
  },
);

test('of an empty file there is a head, of no file there is none', async () => {
  const empty = [tarHeader({ name: 'empty' }), tarEntry('next', 'x'), tarEnd];
  expect(await extractHead(Readable.from(empty), 10)).toEqual(Buffer.alloc(0));
  const folder = [tarHeader({ name: 'a/', type: '5' }), tarEnd];
  expect(await extractHead(Readable.from(folder), 10)).toBeUndefined();
});

test('what breaks off is told, and what is not wanted is not read', async () => {
  const cut = Readable.from([tarHeader({ name: 'a', size: 600 }), tarContent('x')]);
  await expect(extractHead(cut, 1000)).rejects.toMatchObject({ code: 'copy-failed' });
  const tar = Readable.from([twoFiles.subarray(0, 2048), twoFiles.subarray(2048)]);
  expect(String(await extractHead(tar, 5))).toBe('11111');
  expect(tar.destroyed).toBe(true);
});
