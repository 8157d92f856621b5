import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { bundleFiles, moveBundle } from '../../../src/stores/bundle-files.ts';
import { contentsOf, createScratch, type ScratchFolder } from '../../support/store-bundles.ts';

let scratch: ScratchFolder;
let bundle: string;
let target: string;

beforeEach(async () => {
  scratch = await createScratch();
  bundle = await scratch.bundle('moved');
  target = await scratch.folder('target');
});

afterEach(() => scratch.remove());

test('moves every file and leaves none behind', async () => {
  const before = await contentsOf(bundle);
  await moveBundle(bundle, target);
  expect(await contentsOf(target)).toEqual(before);
  expect(await readdir(bundle)).toEqual([]);
});

test('leaves the target empty when a file cannot be moved', async () => {
  // In the way of the last file.
  await mkdir(`${target}/manifest.json`);
  await expect(moveBundle(bundle, target)).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await readdir(target)).toEqual([]);
});

test.each([
  ['a folder', (path: string) => mkdir(path)],
  ['a symbolic link', (path: string) => symlink('/etc/passwd', path)],
])('refuses a bundle with %s in it', async (_, make) => {
  await make(`${bundle}/odd`);
  await expect(bundleFiles(bundle)).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  await expect(moveBundle(bundle, target)).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  expect(await readdir(target)).toEqual([]);
});

test('moves to another file system', async () => {
  // Every Linux has one in memory. Elsewhere, or with temporary files there, it is only another folder.
  const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const other = await mkdtemp(join(place, 'snapvol-test-'));
  try {
    const manifest = await readFile(`${bundle}/manifest.json`);
    await moveBundle(bundle, other);
    expect(await readFile(`${other}/manifest.json`)).toEqual(manifest);
  } finally {
    await rm(other, { recursive: true });
  }
});
