import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { AppError } from '../../src/errors.ts';
import type { Progress } from '../../src/log.ts';
import { observed, withScratchAt } from '../support/altered-runtime.ts';
import { CopyBench, wayNames, ways, type Saved } from '../support/copy-ways.ts';
import { testImage } from '../support/images.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { readTree } from '../support/volume-tree.ts';

let bench: CopyBench;
/** A volume that is long enough to be in the middle of. */
let bulk: string;
/** More than zstd takes in while nobody reads what comes out of it: this process can do something meanwhile. */
let large: string;

beforeAll(async () => {
  bench = await CopyBench.start();
  bulk = await bench.volumes.volume();
  await bench.volumes.run(
    bulk,
    'for i in {1..10}; do head -c 1M /dev/urandom > $i; done; ln 1 link; ln -s 1 symlink; mkdir folder',
  );
  large = await bench.volumes.volume();
  await bench.volumes.run(large, 'head -c 100M /dev/urandom > file');
});

afterEach(async () => {
  expect(await bench.leftovers()).toEqual([]);
});

afterAll(() => bench[Symbol.asyncDispose]());

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

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

describe('a damaged archive is never taken for a good one', () => {
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
      saved = await bench.save('archive API', volume, settings[codec]);
      bytes = readFileSync(saved.file);
    });

    // Node's decompressor stops at the end of the archive and does not look at what follows. The sha256 covers it.
    const names = Object.keys(damages).filter(
      (name) => codec !== "Node's own zstd" || !name.startsWith('more at the end that'),
    );

    test.each(names)('%s', async (name) => {
      const damaged = damages[name]?.(saved, bytes) ?? saved;
      // How an archive is stored matters to how damage shows, so the slower way is not tried with each.
      for (const way of codec === 'the zstd program' ? wayNames : (['archive API'] as const)) {
        await expect(bench.restore(way, damaged, settings[codec])).rejects.toMatchObject({
          name: 'AppError',
          code: 'snapshot-corrupt',
        });
      }
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
        if (bytes > 3_000_000) controller.abort();
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
        if (bytes > 3_000_000) controller.abort(new Error('enough'));
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
        : ['removeContainer', '', 'removeContainer', ''],
    );
    expect(outcomes.filter((line) => line.endsWith('cancelled')).length).toBeGreaterThan(5);
  });
});

test.each(['saving', 'restoring'])(
  'a copy that stands still is given up while %s',
  async (what) => {
    const saved = await bench.save('pipe with GNU tar', large);
    const file = bench.archive();
    let frozen: string | undefined;
    const settings = {
      silenceMs: 4000,
      archive: file,
      onProgress({ bytes }: Progress) {
        if (bytes <= 3_000_000 || frozen !== undefined) return;
        const filter = `label=${bench.volumes.label}`;
        const names = execFileSync('docker', ['ps', '--format={{.Names}}', '--filter', filter]);
        frozen = names
          .toString()
          .split('\n')
          .find((name) => name !== bench.volumes.prefix);
        execFileSync('docker', ['pause', frozen ?? '']);
      },
    };
    await expect(
      what === 'saving'
        ? bench.save('pipe with GNU tar', large, settings)
        : bench.restore('pipe with GNU tar', saved, settings),
    ).rejects.toMatchObject({
      code: 'copy-failed',
      message: expect.stringMatching(/^the copy of \S+ was given up: nothing has arrived for 4 s$/),
    });
    expect(frozen).toBeDefined();
    expect(existsSync(file)).toBe(false);
  },
);

describe.each(wayNames)('%s: no space', (way) => {
  test('in the volume', async () => {
    const saved = await bench.save(way, bulk);
    const small = await bench.volumes.volume('type=tmpfs', 'device=tmpfs', 'o=size=4m');
    const error = await bench.restore(way, saved, { into: small }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'copy-failed' });
    expect(JSON.stringify([error, (error as AppError).message])).toMatch(
      /no space left on device/i,
    );
  });

  test('where the archive is written', async () => {
    using disk = mountSmallDisk('2m');
    const archive = join(disk.path, 'archive');
    await expect(bench.save(way, bulk, { archive })).rejects.toMatchObject({
      code: 'copy-failed',
      message: expect.stringContaining('the disk is full'),
      hint: expect.stringContaining('Free some space'),
    });
    expect(readdirSync(disk.path)).toEqual([]);
  });

  test('where the FIFOs are made is no reason to fail, for the archive API needs none', async () => {
    using disk = mountSmallDisk('64k');
    writeFileSync(join(disk.path, 'full'), Buffer.alloc(60 * 1024));
    for (let i = 0; i < 100; i++) {
      try {
        mkdtempSync(join(disk.path, 'x'));
      } catch {
        break;
      }
    }
    const saved = await bench.save(way, bulk, { method: 'auto', scratchDir: disk.path });
    expect(['pipe', 'archive']).toContain(saved.method);
  });
});

describe('the pipe', () => {
  const pipe = 'pipe with GNU tar';

  test.each(['no-tar', 'postgres:17-alpine'])(
    'is refused with an image without GNU tar: %s',
    async (name) => {
      const image = testImage(name);
      const refused = { code: 'copy-failed', hint: 'Use "auto" or "archive"' };
      await expect(bench.save(pipe, bulk, { image })).rejects.toMatchObject(refused);
      const saved = await bench.save(pipe, bulk);
      await expect(bench.restore(pipe, saved, { image })).rejects.toMatchObject(refused);
      const restored = await bench.restore(pipe, saved, { image, method: 'auto' });
      expect(restored.method).toBe('archive');
    },
  );

  test.each(['is not there', 'is another one'])(
    'gives way to the archive API where the scratch folder that the engine sees %s',
    async (what) => {
      const elsewhere = mkdtempSync(join(bench.dir, 'elsewhere-'));
      const runtime = withScratchAt(
        bench.runtime,
        what === 'is another one' ? elsewhere : join(elsewhere, 'nothing'),
      );
      await expect(bench.save(pipe, bulk, { runtime })).rejects.toMatchObject({
        code: 'copy-failed',
      });
      const saved = await bench.save(pipe, bulk, { runtime, method: 'auto' });
      const restored = await bench.restore(pipe, saved, { runtime, method: 'auto' });
      expect([saved.method, restored.method]).toEqual(['archive', 'archive']);
      expect(await readTree(bench.volumes, restored.volume)).toMatchObject({
        './folder': { kind: 'd' },
      });
      expect(readdirSync(elsewhere)).toEqual([]);
    },
  );

  test('says so when a file changes while it is read', async () => {
    const saving = bench.save(pipe, large, {
      onProgress: once(() => {
        bench.volumes.runNow(large, 'echo more >> file');
      }),
    });
    await expect(saving).rejects.toMatchObject({
      code: 'copy-failed',
      hint: expect.stringContaining('stop what writes to it'),
      details: [expect.stringContaining('file changed as we read it')],
    });
  });

  test('tells that its container was killed', async () => {
    const saving = bench.save(pipe, large, {
      onProgress: once(() => {
        const helper = ['ps', '--quiet', '--filter', `name=${large}-save-`];
        execFileSync('docker', ['kill', execFileSync('docker', helper).toString().trim()]);
      }),
    });
    await expect(saving).rejects.toMatchObject({
      code: 'copy-failed',
      message: `could not read ${large}: tar in its helper container failed with exit code 137`,
    });
  });
});

describe('both ways', () => {
  test.each(wayNames)("%s: a helper that was left behind is in nobody's way", async (way) => {
    const left = `${bulk}-save`;
    execFileSync('docker', [
      'create',
      '--name',
      left,
      '--volume',
      `${bulk}:/left`,
      ways[way].image,
      'x',
    ]);
    try {
      expect((await bench.save(way, bulk)).entries).toBeGreaterThan(0);
    } finally {
      execFileSync('docker', ['rm', '--volumes', left]);
    }
  });

  test.each(wayNames)('%s: there is nothing to save where there is no volume', async (way) => {
    const nothing = `${bulk}-nothing`;
    await expect(bench.save(way, nothing)).rejects.toMatchObject({
      code: 'copy-failed',
      message: `there is no volume ${nothing}`,
    });
    expect(await bench.runtime.findVolume(nothing)).toBeUndefined();
  });

  test.each(wayNames)('%s: an image that is not there is named', async (way) => {
    await expect(bench.save(way, bulk, { image: 'snapvol-test/nothing:1' })).rejects.toMatchObject({
      code: 'image-unavailable',
    });
  });

  test.each(wayNames)('%s: a file that is already there is left alone', async (way) => {
    const archive = bench.archive();
    writeFileSync(archive, 'mine');
    await expect(bench.save(way, bulk, { archive })).rejects.toMatchObject({ code: 'copy-failed' });
    expect(readFileSync(archive, 'utf8')).toBe('mine');
  });

  test.each(wayNames)(
    '%s: a container that cannot be removed does not hide what went wrong before',
    async (way) => {
      const runtime = {
        ...bench.runtime,
        removeContainer: async (id: string) => {
          await bench.runtime.removeContainer(id);
          throw new AppError('docker-unreachable', 'gone');
        },
      };
      const saved = await bench.save(way, bulk);
      const damaged = { ...saved, sha256: '0'.repeat(64) };
      await expect(bench.restore(way, damaged, { runtime })).rejects.toMatchObject({
        code: 'snapshot-corrupt',
      });
      await expect(bench.restore(way, saved, { runtime })).rejects.toMatchObject({
        code: 'docker-unreachable',
      });
    },
  );
});
