import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';

import { extract } from 'tar-stream';

import { AppError } from '../../../src/errors.ts';
import { readArchive } from '../../../src/runtime/archive-file.ts';
import { openBundle } from '../../../src/snapshot/bundle.ts';
import type { Manifest } from '../../../src/snapshot/manifest.ts';
import { tarOf, validBundles, withDigests, withManifestText, withSums } from './bundle-files.ts';
import type { BundleFiles } from './bundle-files.ts';
import { mutateBytes, mutateTar } from './mutate-bytes.ts';
import { mutateJson } from './mutate-json.ts';
import { Random } from './random.ts';

export interface FuzzResult {
  /** How many ended how: `whole`, or the code of the error. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** What must not be, by the number of its case. */
  readonly failures: readonly string[];
}

const caseLimitMs = 5000;
const maxBytes = 1e9;
const expectedCodes: readonly string[] = ['snapshot-corrupt', 'snapshot-incompatible'];
const { signal } = new AbortController();

/**
 * Reads so many mutated bundles, from opening them to the last byte of their archives. Each must be read as it is
 * stored, with no name in it that leads out as an independent reader sees it, or be refused with an expected error.
 */
export async function fuzz(count: number, seed: number, first = 0): Promise<FuzzResult> {
  const outcomes: Record<string, number> = {};
  const failures: string[] = [];
  const bases = validBundles();
  const parent = mkdtempSync(join(tmpdir(), 'snapvol-fuzz-'));
  try {
    for (let number = first; number < first + count; number++) {
      const random = new Random(seed * 1_000_003 + number);
      // The first ones stay as they are: what is valid must be read.
      const valid = bases[number];
      const base = valid ?? random.of(bases);
      const dir = join(parent, 'bundle');
      mkdirSync(dir);
      const files = valid ?? mutate(base, random);
      for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes);
      if (!valid && random.below(50) === 0) mutateFolder(dir, random);
      const outcome = await inTime(read(dir, files)).catch((error: unknown) => {
        if (error instanceof AppError && expectedCodes.includes(error.code)) return error.code;
        failures.push(`case ${number}: ${error instanceof Error ? (error.stack ?? '') : '?'}`);
        return 'failure';
      });
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      rmSync(dir, { recursive: true });
    }
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
  return { outcomes, failures };
}

/** Of what waits for nothing, too. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`not done after ${caseLimitMs} ms`));
  }, caseLimitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function mutate(base: BundleFiles, random: Random): BundleFiles {
  const manifest = JSON.parse(String(base.get('manifest.json'))) as Manifest; // a valid one
  const archive = random.of(manifest.volumes.map((volume) => volume.archive));
  const bytes = base.get(archive) ?? Buffer.alloc(0);
  const withArchive = (changed: Buffer): BundleFiles => {
    const files = new Map([...base, [archive, changed]]);
    return withSums(files, withDigests(files, manifest));
  };
  switch (random.below(8)) {
    case 0: {
      const name = random.of([...base.keys()]);
      return new Map([...base, [name, mutateBytes(base.get(name) ?? bytes, random)]]);
    }
    case 1:
      return withArchive(mutateBytes(bytes, random));
    case 2:
      return withManifestText(base, mutateJson(JSON.stringify(manifest), random));
    case 3:
      return withManifestText(
        base,
        mutateBytes(Buffer.from(JSON.stringify(manifest)), random).toString('utf8'),
      );
    default: {
      let tar = tarOf(archive, bytes) ?? bytes;
      for (let times = 1 + random.below(3); times > 0; times--) tar = mutateTar(tar, random);
      return withArchive(archive.endsWith('.zst') ? zstdCompressSync(tar) : tar);
    }
  }
}

function mutateFolder(dir: string, random: Random): void {
  const name = random.of(['manifest.json', 'SHA256SUMS', 'data.tar', 'extra', 'con', '\u65e5']);
  const path = join(dir, name);
  rmSync(path, { force: true });
  if (random.below(3) === 0) mkdirSync(path);
  else if (random.below(2) === 0) symlinkSync('/etc/passwd', path);
  else writeFileSync(path, 'x');
}

async function read(dir: string, files: BundleFiles): Promise<'whole'> {
  const { manifest } = await openBundle(dir);
  for (const volume of manifest.volumes) {
    const parts: Buffer[] = [];
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        parts.push(chunk);
        done();
      },
    });
    const file = join(dir, volume.archive);
    await readArchive(file, volume, maxBytes, sink, undefined, signal);
    const output = Buffer.concat(parts);
    const stored = tarOf(volume.archive, files.get(volume.archive) ?? Buffer.alloc(0));
    if (stored?.subarray(0, output.length).equals(output) !== true)
      throw new Error(`${volume.archive} was read as something else`);
    await requireInside(output);
  }
  return 'whole';
}

/** As another program reads the stream, as far as it does: it is stricter in other things. */
async function requireInside(tar: Buffer): Promise<void> {
  const paths: string[] = [];
  const reader = extract();
  reader.on('entry', ({ name, type, linkname }, content, next) => {
    paths.push(name, ...(type === 'link' ? [linkname] : []));
    content.on('end', next).resume();
  });
  reader.on('error', () => undefined);
  reader.end(tar);
  // All of it is in memory. Where its view of the stream has no end, it just stops, without an event.
  for (let seen = -1; seen < paths.length;) {
    seen = paths.length;
    await setImmediate();
  }
  const outside = paths.find((path) => path.startsWith('/') || path.split('/').includes('..'));
  if (outside !== undefined) throw new Error(`${JSON.stringify(outside)} leads out`);
}
