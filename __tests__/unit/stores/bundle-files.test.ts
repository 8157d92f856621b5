import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';

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

// Every Linux has this file system in memory; elsewhere the test would say nothing.
const [here, memory] = await Promise.all([
  stat(process.env['TMPDIR'] ?? '/tmp').catch(() => undefined),
  stat('/dev/shm').catch(() => undefined),
]);
(memory !== undefined && memory.dev !== here?.dev ? test : test.skip)(
  'moves to another file system',
  async () => {
    const other = await mkdtemp('/dev/shm/snapvol-test-');
    try {
      const manifest = await readFile(`${bundle}/manifest.json`);
      await moveBundle(bundle, other);
      expect(await readFile(`${other}/manifest.json`)).toEqual(manifest);
    } finally {
      await rm(other, { recursive: true });
    }
  },
);
