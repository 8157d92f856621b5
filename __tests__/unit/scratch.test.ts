import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { createScratch, inScratch } from '../../src/scratch.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'scratch-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

test('the folder of one run is below the given one, and its path is absolute, as the engine needs it', async () => {
  const made = await createScratch(relative(process.cwd(), folder));
  expect(isAbsolute(made)).toBe(true);
  expect(readdirSync(folder).map((name) => join(folder, name))).toEqual([made]);
});

test.each([
  ['is not there', () => join(folder, 'none')],
  [
    'is a file',
    () => {
      writeFileSync(join(folder, 'file'), '');
      return join(folder, 'file');
    },
  ],
])(
  'a folder for scratch files that %s is told with its path and the variables',
  async (_, path) => {
    const given = path();
    await expect(createScratch(given)).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringContaining(given),
      hint: expect.stringMatching(/TMPDIR.*RUNNER_TEMP/),
    });
  },
);

test('a full disk of scratch files is told as one, and other errors stay what they are', async () => {
  const failing = (error: Error) => inScratch(folder, () => Promise.reject(error));
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  await expect(failing(full)).rejects.toMatchObject({
    code: 'system-error',
    hint: expect.stringContaining('larger disk'),
  });
  const other = new Error('a fault of ours');
  await expect(failing(other)).rejects.toBe(other);
});
