import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { AppError } from '../../src/errors.ts';
import { observed, withScratchAt } from '../support/altered-runtime.ts';
import '../support/core-errors.ts';
import { CopyBench, wayNames, ways, type Saved } from '../support/copy-ways.ts';
import { testImage } from '../support/images.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { readTree } from '../support/volume-tree.ts';

let bench: CopyBench;
/** A volume that is long enough to be in the middle of. */
let bulk: string;

beforeAll(async () => {
  bench = await CopyBench.start();
  bulk = await bench.volumes.volume();
  await bench.volumes.run(
    bulk,
    'for i in {1..12}; do head -c 2M /dev/urandom > $i; done; ln 1 link; ln -s 1 symlink; mkdir folder',
  );
});

afterEach(async () => {
  expect(await bench.leftovers()).toEqual([]);
});

afterAll(() => bench[Symbol.asyncDispose]());

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The archive with other bytes; its manifest says what `says` says, and else what it said. */
function altered(saved: Saved, bytes: Buffer, says: Partial<Saved> = {}): Saved {
  const file = bench.archive();
  writeFileSync(file, bytes);
  return { ...saved, ...says, file };
}

/** The archive with other bytes, and a manifest that goes with them. */
function forged(saved: Saved, bytes: Buffer): Saved {
  return altered(saved, bytes, { archiveBytes: bytes.length, sha256: sha256(bytes) });
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
}

const damages: Readonly<Record<string, (saved: Saved, bytes: Buffer) => Saved>> = {
  'a flipped bit at the start': (saved, bytes) => altered(saved, flipped(bytes, 0)),
  'a flipped bit in the middle': (saved, bytes) =>
    altered(saved, flipped(bytes, bytes.length >> 1)),
  'a flipped bit at the end': (saved, bytes) => altered(saved, flipped(bytes, bytes.length - 1)),
  'a missing end': (saved, bytes) => altered(saved, bytes.subarray(0, -1000)),
  'a missing end that the manifest does not tell': (saved, bytes) =>
    forged(saved, bytes.subarray(0, -1000)),
  'more at the end': (saved, bytes) => altered(saved, Buffer.concat([bytes, Buffer.from('more')])),
  'more at the end that the manifest does not tell': (saved, bytes) =>
    forged(saved, Buffer.concat([bytes, Buffer.from('more')])),
  'other bytes of the same length': (saved, bytes) => altered(saved, randomBytes(bytes.length)),
  'something that is no archive': (saved) => forged(saved, Buffer.from('x'.repeat(10_000))),
  'an empty file': (saved) => forged(saved, Buffer.alloc(0)),
  'no file': (saved) => ({ ...saved, file: bench.archive() }),
  'too many bytes declared': (saved, bytes) =>
    altered(saved, bytes, { tarBytes: saved.tarBytes + 512 }),
  'too few bytes declared': (saved, bytes) =>
    altered(saved, bytes, { tarBytes: saved.tarBytes - 512 }),
  'another number of entries declared': (saved, bytes) =>
    altered(saved, bytes, { entries: saved.entries + 1 }),
  'another sha256 declared': (saved, bytes) => altered(saved, bytes, { sha256: '0'.repeat(64) }),
};

describe.each(wayNames)('%s: a damaged archive is never taken for a good one', (way) => {
  const settings = {
    'the zstd program': {},
    "Node's own zstd": { zstd: undefined },
    'no compression': { compression: { kind: 'none' } },
  } as const;

  describe.each(Object.keys(settings) as (keyof typeof settings)[])('%s', (codec) => {
    let saved: Saved;
    let bytes: Buffer;

    beforeAll(async () => {
      const volume = await bench.volumes.volume();
      await bench.volumes.run(
        volume,
        'for i in {1..9}; do head -c 20K /dev/urandom > $i; done; ln 1 link',
      );
      saved = await bench.save(way, volume, settings[codec]);
      bytes = readFileSync(saved.file);
    });

    // How an archive is stored matters to how damage shows, not to every way the same again.
    const names = Object.keys(damages).filter(
      (_name, index) => way === 'archive API' || codec === 'the zstd program' || index < 6,
    );

    test.each(names)('%s', async (name) => {
      const damaged = damages[name]?.(saved, bytes) ?? saved;
      const error = await bench.restore(way, damaged, settings[codec]).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 'snapshot-corrupt' });
      expect(error).toBeInstanceOf(AppError);
    });
  });
});

describe.each(wayNames)('%s: a cancelled copy', (way) => {
  test('stops in the middle of saving', async () => {
    const controller = new AbortController();
    const file = bench.archive();
    const saving = bench.save(way, bulk, {
      signal: controller.signal,
      archive: file,
      onProgress({ bytes }) {
        if (bytes > 4_000_000) controller.abort();
      },
    });
    await expect(saving).rejects.toMatchObject({ code: 'cancelled' });
    expect(existsSync(file)).toBe(false);
  });

  test('stops in the middle of restoring', async () => {
    const saved = await bench.save(way, bulk);
    const controller = new AbortController();
    const restoring = bench.restore(way, saved, {
      signal: controller.signal,
      onProgress({ bytes }) {
        if (bytes > 4_000_000) controller.abort(new Error('enough'));
      },
    });
    await expect(restoring).rejects.toMatchObject({ code: 'cancelled' });
  });

  test('stops at each call of the engine, with nothing left behind', async () => {
    const saved = await bench.save(way, bulk);
    const outcome = async (at: number, copy: 'save' | 'restore'): Promise<string> => {
      const controller = new AbortController();
      let reached = '';
      const runtime = observed(bench.runtime, (call, verb) => {
        if (call !== at) return;
        reached = verb;
        controller.abort();
      });
      const settings = { runtime, signal: controller.signal };
      const result = await (
        copy === 'save' ? bench.save(way, bulk, settings) : bench.restore(way, saved, settings)
      ).then(
        () => 'done',
        (error: unknown) => (error instanceof AppError ? error.code : String(error)),
      );
      expect(await bench.leftovers()).toEqual([]);
      return `${reached}: ${result}`;
    };
    const outcomes: string[] = [];
    for (const copy of ['save', 'restore'] as const) {
      for (let at = 1; outcomes.at(-1) !== ': done'; at++) outcomes.push(await outcome(at, copy));
      outcomes.push(copy);
    }
    // Only the last steps, after the copy itself, may still succeed.
    expect(
      outcomes.filter((line) => line.endsWith('done')).map((line) => line.split(':')[0]),
    ).toEqual(
      way === 'archive API'
        ? ['removeContainer', '', 'removeContainer', '']
        : ['logs', 'removeContainer', '', 'removeContainer', ''],
    );
    expect(outcomes.filter((line) => line.endsWith('cancelled')).length).toBeGreaterThan(5);
  });
});
