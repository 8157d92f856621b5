import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { findZstd } from '../../../src/runtime/compression.ts';
import { streaming, together } from '../../../src/runtime/parts.ts';
import { compressedFrom, decompressedTo } from '../../../src/runtime/piped-codec.ts';

const compression = { kind: 'zstd', level: 1 } as const;
const never = new AbortController().signal;
const content = randomBytes(4_000_000);

let dir: string;
let zstd: string;
let zstdFile: Buffer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'snapvol-piped-codec-'));
  zstd = (await findZstd(process.env['PATH'] ?? '')) as string;
  writeFileSync(join(dir, 'content'), content);
  const { streams } = compressing();
  zstdFile = await buffer(streams[0] as Readable);
});

afterAll(() => {
  rmSync(dir, { recursive: true });
});

const compressing = (program = zstd) =>
  compressedFrom(openSync(join(dir, 'content'), 'r'), compression, program);

const decompressing = () => decompressedTo(openSync(join(dir, 'output'), 'w'), 'zstd', zstd);

describe('when streams of ours fail, that is told, and not what zstd says of it', () => {
  test('while it compresses', async () => {
    // Where some of its output is unread when we leave, zstd meets a connection that is reset instead of SIGPIPE.
    const complains = join(dir, 'complains');
    writeFileSync(complains, `#!/bin/sh\ntrap '' PIPE\n/bin/cat || exit 70\n`);
    chmodSync(complains, 0o755);
    const { streams, parts } = compressing(complains);
    // Streams have failed when all have closed, which can be later than what the program says of it.
    const slow = new PassThrough({
      destroy(error, done) {
        void Promise.allSettled(parts.map((part) => part.done)).then(() => {
          setImmediate(done, error);
        });
      },
    });
    const full = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('no space is left'), { code: 'ENOSPC' }));
      },
    });
    await expect(
      together([streaming([...streams, slow, full], 'archive.tar.zst'), ...parts], never),
    ).rejects.toThrow('the disk is full while writing archive.tar.zst');
    await expect(parts[0]?.done).rejects.toThrow('zstd failed (exit code 70)');
  });

  test('while it decompresses', async () => {
    const { streams, parts } = decompressing();
    async function* unreadable() {
      yield zstdFile.subarray(0, 1_000_000);
      await Promise.resolve();
      throw Object.assign(new Error('input/output error'), { code: 'EIO' });
    }
    const source = Readable.from(unreadable());
    await expect(
      together([streaming([source, ...streams], 'archive.tar.zst'), ...parts], never),
    ).rejects.toThrow('the copy with archive.tar.zst stopped: input/output error');
  });
});

describe('what zstd itself fails with is told', () => {
  test.each([
    { what: 'an end in the middle', of: () => zstdFile.subarray(0, 1_000_000) },
    { what: 'other bytes', of: () => Buffer.alloc(3_000_000, 'other') },
  ])('$what', async ({ of }) => {
    const { streams, parts } = decompressing();
    const source = Readable.from([of()]);
    await expect(
      together([streaming([source, ...streams], 'archive.tar.zst'), ...parts], never),
    ).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('zstd failed (exit code 1)'),
    });
  });
});
