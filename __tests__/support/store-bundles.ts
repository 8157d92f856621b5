import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll } from '@jest/globals';

/** Folders for one test, removed together. */
export interface ScratchFolder {
  readonly path: string;
  /** A new empty folder. */
  folder(name: string): Promise<string>;
  /** A new folder with the files of a small bundle; the same seed gives the same bytes. */
  bundle(seed: string): Promise<string>;
  remove(): Promise<void>;
}

export async function createScratch(): Promise<ScratchFolder> {
  return scratchAt(await mkdtemp(join(tmpdir(), 'snapvol-test-')));
}

/** For all tests of a file, removed after the last one. */
export function useScratch(): ScratchFolder {
  const scratch = scratchAt(mkdtempSync(join(tmpdir(), 'snapvol-test-')));
  afterAll(() => scratch.remove());
  return scratch;
}

function scratchAt(path: string): ScratchFolder {
  let count = 0;
  const folder = async (name: string): Promise<string> => {
    const created = join(path, `${++count}-${name}`);
    await mkdir(created);
    return created;
  };
  return {
    path,
    folder,
    async bundle(seed) {
      const created = await folder('bundle');
      await fill(created, seed, { 'manifest.json': 300, 'data.tar.zst': 4096, SHA256SUMS: 160 });
      return created;
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
}

/** Writes files of the given sizes into `dir`, random to look at and the same for the same seed. */
export async function fill(
  dir: string,
  seed: string,
  sizes: Readonly<Record<string, number>>,
): Promise<void> {
  for (const [name, sizeBytes] of Object.entries(sizes)) {
    await writeFile(join(dir, name), seededBytes(`${seed}/${name}`, sizeBytes));
  }
}

/** A hash of any length is a stream of random bytes that everybody can make again. */
export function seededBytes(seed: string, sizeBytes: number): Buffer {
  if (sizeBytes === 0) return Buffer.alloc(0);
  return createHash('shake256', { outputLength: sizeBytes }).update(seed).digest();
}

/** Size and sha256 of every file in `dir`, by name: short enough to be read when a test fails. */
export async function contentsOf(dir: string): Promise<Readonly<Record<string, string>>> {
  const contents: Record<string, string> = {};
  for (const name of (await readdir(dir)).sort()) {
    const bytes = await readFile(join(dir, name));
    contents[name] = `${bytes.length} B ${createHash('sha256').update(bytes).digest('hex')}`;
  }
  return contents;
}
