import { expect, test } from '@jest/globals';

import { isFolder } from '../../../src/runtime/tar-path.ts';
import type { TarEntry } from '../../../src/runtime/tar-reader.ts';

// A cast: what is looked at.
const entry = (fields: Partial<TarEntry>): TarEntry =>
  ({ type: '0', contentBytes: 512, ...fields }) as TarEntry;

test('a file with holes is none for a placeholder that is cut after a slash', () => {
  const name = 'data/GNUSparseFile.7/';
  expect(isFolder(entry({ name, sparseName: 'data/file' }))).toBe(false);
  expect(isFolder(entry({ name, contentBytes: 0 }))).toBe(true);
  expect(() => isFolder(entry({ name }))).toThrow(
    /^the folder data\/GNUSparseFile.7\/ has content$/,
  );
});
