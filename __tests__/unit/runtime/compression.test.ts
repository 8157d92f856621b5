import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  autoLevel,
  compressor,
  decompressor,
  findZstd,
  type Codec,
} from '../../../src/runtime/compression.ts';

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'snapvol-zstd-'));
});

afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** A program that stands for zstd: what it does is a shell script. */
function program(name: string, script: string): string {
  const file = join(dir, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** Sends chunks through a codec. Rejects with the codec's own error first. */
async function through(codec: Codec, chunks: readonly Buffer[]): Promise<Buffer> {
  const output = new PassThrough();
  const [bytes, piped] = await Promise.allSettled([
    buffer(output),
    pipeline([Readable.from(chunks), ...codec.streams, output]),
    codec.finished,
  ]);
  await codec.finished;
  if (piped.status === 'rejected') throw piped.reason;
  if (bytes.status === 'rejected') throw bytes.reason;
  return bytes.value;
}

const level3 = { kind: 'zstd', level: 3 } as const;
const sample = Buffer.concat([Buffer.alloc(700_000, 'snapvol '), randomBytes(100_000)]);

test.each(['the zstd program', "Node's own zstd"])(
  'a frame that wants 2 GiB of memory is refused by %s',
  async (name) => {
    const zstd =
      name === 'the zstd program' ? await findZstd(process.env['PATH'] ?? '') : undefined;
    // Its header, with a window of 2^31 bytes, and one block of one byte.
    const frame = Buffer.from('28b52ffd00a8090000' + '78', 'hex');
    await expect(through(decompressor('zstd', zstd), [frame])).rejects.toThrow(
      /memory|[Ww]indow|Frame/,
    );
  },
);

describe("Node's own zstd", () => {
  test('gives back what went in', async () => {
    const packed = await through(compressor(level3, undefined), [sample]);
    expect(packed.length).toBeLessThan(sample.length / 2);
    expect((await through(decompressor('zstd', undefined), [packed])).equals(sample)).toBe(true);
  });

  test('gives the same bytes however its input is cut', async () => {
    const whole = await through(compressor(level3, undefined), [sample]);
    const cuts = fc.array(fc.integer({ min: 1, max: sample.length }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const ends = [...new Set([0, ...places, sample.length])].sort((a, b) => a - b);
        const chunks = ends.slice(1).map((end, i) => sample.subarray(ends[i], end));
        const packed = await through(compressor(level3, undefined), chunks);
        expect(packed.equals(whole)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('takes the level into account', async () => {
    const text = Buffer.from(Array.from({ length: 30_000 }, (_, i) => `${i * 7919}\n`).join(''));
    const [fast, small] = await Promise.all(
      [1, 19].map((level) => through(compressor({ kind: 'zstd', level }, undefined), [text])),
    );
    expect(small?.length).toBeLessThan(fast?.length ?? 0);
  });
});

describe('the level that is taken by itself', () => {
  test('is as high as the cores keep up with', () => {
    expect([1, 2, 3, 4, 64].map(autoLevel)).toEqual([1, 2, 3, 3, 3]);
  });

  test('lets what cannot be compressed stay as it is', async () => {
    const random = randomBytes(1_000_000);
    const zstd = await findZstd(process.env['PATH'] ?? '');
    for (const by of [zstd, undefined]) {
      const codec = compressor({ kind: 'zstd', level: 'auto' }, by);
      const { length } = await through(codec, [random]);
      expect(length).toBeLessThan(1.001 * random.length);
    }
  });
});

test('no compression changes nothing', async () => {
  expect((await through(compressor({ kind: 'none' }, '/nowhere'), [sample])).equals(sample)).toBe(
    true,
  );
  expect((await through(decompressor('none', '/nowhere'), [sample])).equals(sample)).toBe(true);
});

describe('a program', () => {
  test('gets the input and gives the output, with the level among its arguments', async () => {
    const zstd = program('echo', 'echo "$@"; cat');
    const output = await through(compressor(level3, zstd), [sample]);
    expect(output.subarray(0, 14).toString()).toBe(
      '-q -c -T0 -3\n' + sample.toString('latin1', 0, 1),
    );
    expect(output.subarray(13).equals(sample)).toBe(true);
  });

  test('that fails is quoted: to compress is our problem, to decompress the archive\u2019s', async () => {
    const zstd = program('fail', 'cat > /dev/null; echo "zstd: bad block" >&2; exit 7');
    await expect(through(compressor(level3, zstd), [sample])).rejects.toMatchObject({
      code: 'copy-failed',
      message: 'zstd failed (exit code 7): zstd: bad block',
    });
    await expect(through(decompressor('zstd', zstd), [sample])).rejects.toMatchObject({
      code: 'snapshot-corrupt',
    });
  });

  test('that ends before it has read everything is quoted, too', async () => {
    const zstd = program('early', 'head -c 1000 > /dev/null; echo "not a zstd file" >&2; exit 1');
    await expect(through(decompressor('zstd', zstd), [sample, sample])).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('not a zstd file'),
    });
  });

  test('that somebody kills says nothing about the archive', async () => {
    const zstd = program('killed', 'kill -9 $$');
    await expect(through(decompressor('zstd', zstd), [sample])).rejects.toMatchObject({
      code: 'copy-failed',
      message: 'zstd was ended by SIGKILL',
    });
  });

  test('that is not there is named', async () => {
    const zstd = join(dir, 'nothing');
    await expect(through(compressor(level3, zstd), [sample])).rejects.toMatchObject({
      code: 'copy-failed',
      message: expect.stringContaining(zstd),
    });
  });

  test('does not outlive its stream', async () => {
    const codec = decompressor(
      'zstd',
      program('hang', `echo $$; trap "" TERM PIPE; exec sleep 600`),
    );
    const [stream] = codec.streams;
    const pid = Number(await new Promise((resolve) => stream?.once('data', resolve)));
    stream?.destroy();
    await codec.finished;
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

describe('findZstd', () => {
  test('takes the first executable of that name on the path', async () => {
    const folders = ['none', 'plain', 'good', 'later'].map((name) => join(dir, name));
    for (const folder of folders.slice(1)) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'zstd'), '', { mode: 0o755 });
    }
    chmodSync(join(dir, 'plain', 'zstd'), 0o644);
    expect(await findZstd(['', ...folders].join(delimiter))).toBe(join(dir, 'good', 'zstd'));
  });

  test('is undefined where there is none', async () => {
    expect(await findZstd('')).toBeUndefined();
    expect(await findZstd(join(dir, 'none'))).toBeUndefined();
  });
});
