import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { zstdCompressSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { readArchive } from '../../../src/runtime/archive-file.ts';
import { findZstd } from '../../../src/runtime/compression.ts';
import type { ExpectedArchive } from '../../../src/runtime/volume-copier.ts';
import {
  forgedArchive,
  hostileArchives,
  hostileMaxBytes,
  hostileTar,
} from '../../support/hostile-archives.ts';
import { paxEntry, tarEntry, tarHeader } from '../../support/tar-bytes.ts';

let dir = '';

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'guard-'));
});

afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** What came through, and how much that unpacks to. */
async function read(
  parts: readonly Buffer[],
  says: Partial<ExpectedArchive> = {},
): Promise<{ readonly output: Buffer; readonly unpackedBytes: number }> {
  const output: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output.push(chunk);
      done();
    },
  });
  const { file, ...expected } = forgedArchive(join(dir, 'archive'), hostileTar({ parts }), says);
  const { signal } = new AbortController();
  const { unpackedBytes } = await readArchive(
    ...[file, expected, hostileMaxBytes, sink, undefined, signal],
  );
  return { output: Buffer.concat(output), unpackedBytes };
}

describe('an archive is refused for', () => {
  test.each(Object.entries(hostileArchives('/canary')))('%s', async (_name, hostile) => {
    const { parts, refusal, code = 'snapshot-corrupt', entries } = hostile;
    await expect(read(parts, entries === undefined ? {} : { entries })).rejects.toMatchObject({
      name: 'AppError',
      code,
      message: expect.stringMatching(refusal),
    });
  });
});

test('everything else goes through as it is', async () => {
  const old = tarHeader({
    name: './old',
    magic: 'ustar  \0',
    prefix: '14000000000\x0014000000000',
  });
  const parts = [
    tarEntry('./setuid', 'x'),
    tarHeader({ name: './setuid-too', mode: '0006755' }),
    tarHeader({ name: './absolute', type: '2', linkName: '/etc/passwd' }),
    tarHeader({ name: './up', type: '2', linkName: '../../up' }),
    tarHeader({ name: './second', type: '1', linkName: './setuid' }),
    tarHeader({ name: './second-up', type: '1', linkName: './up' }),
    tarEntry('./no/entry/of/its/folders', 'x'),
    tarHeader({ name: './no/entry/', type: '5', size: 4096 }),
    tarEntry('plain', 'x'),
    tarEntry('./.../..a/b..', 'x'),
    // As appending makes it.
    tarEntry('./plain', 'y'),
    paxEntry({ path: `./${'n'.repeat(200)}`, uid: '1', 'SCHILY.xattr.user.a': '\0' }),
    tarEntry('./n', ''),
    tarEntry('L', `./${'l'.repeat(200)}\0`, 'L'),
    tarEntry('./l', ''),
    old,
  ];
  const tar = hostileTar({ parts });
  const { output, unpackedBytes } = await read(parts, { entries: 15 });
  expect(output.equals(tar)).toBe(true);
  expect(unpackedBytes).toBe(tar.length);
});

test('a small archive that unpacks to much is left where it is more than its manifest says', async () => {
  const tar = hostileTar({ parts: [tarEntry('./zeros', Buffer.alloc(50_000_000))] });
  const packed = zstdCompressSync(tar);
  expect(packed.length).toBeLessThan(10_000);
  const { file, ...forged } = forgedArchive(join(dir, 'bomb'), packed);
  const expected = { ...forged, compression: 'zstd', tarBytes: 1_000_000 } as const;
  for (const zstd of [undefined, await findZstd(process.env['PATH'] ?? '')]) {
    let bytes = 0;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        done();
      },
    });
    const { signal } = new AbortController();
    await expect(
      readArchive(file, expected, hostileMaxBytes, sink, zstd, signal),
    ).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('unpacks to more than its manifest says'),
    });
    expect(bytes).toBeLessThanOrEqual(expected.tarBytes);
  }
});

test('holes of files are counted', async () => {
  const parts = [
    paxEntry({ 'GNU.sparse.size': '1000000', 'GNU.sparse.map': '0,3' }),
    tarEntry('./holes', 'abc'),
  ];
  const { unpackedBytes } = await read(parts, { entries: 2 });
  expect(unpackedBytes).toBe(hostileTar({ parts }).length + 1_000_000 - 3);
});
