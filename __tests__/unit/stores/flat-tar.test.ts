import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { withFlatTar } from '../../../src/stores/flat-tar.ts';
import { tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'flat-'));
  for (const name of ['work', 'work/folder', 'victim']) mkdirSync(join(dir, name));
  chmodSync(join(dir, 'work'), 0o755);
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** As GitHub's client does it, in a locale where some bytes are no text. */
async function unpack(...entries: readonly Buffer[]): Promise<void> {
  const archive = join(dir, 'archive.tar');
  writeFileSync(archive, Buffer.concat([...entries, tarEnd]));
  const before = { ...process.env };
  process.env['LC_ALL'] = 'C.UTF-8';
  try {
    await withFlatTar('folder', () => {
      const args = ['-xf', archive, '-P', '-C', join(dir, 'work')];
      execFileSync('tar', args, { env: process.env, stdio: 'pipe' });
      return Promise.resolve();
    });
    expect(process.env['LC_ALL']).toBe('C.UTF-8');
    expect(process.env['TAR_OPTIONS']).toBeUndefined();
  } finally {
    process.env = before;
  }
}

test.each([
  ['an absolute path', (away: string) => `${away}/victim/file`],
  ['a path with ".."', () => '../victim/file'],
  ['a path through a folder that is no text', (away: string) => `${away}/victim/\xff/../file`],
  ['a name that is no text', (away: string) => `${away}/victim/file\xff`],
])('%s ends in the folder', async (_, pathIn) => {
  await unpack(
    tarHeader({ name: `${dir}/victim/\xff/`, type: '5', mode: '0000755' }),
    tarEntry(pathIn(dir), 'hostile'),
  );
  expect(readdirSync(join(dir, 'victim'))).toEqual([]);
  expect(readdirSync(join(dir, 'work'))).toEqual(['folder']);
  expect(readdirSync(join(dir, 'work', 'folder'))).toHaveLength(2);
});

test('a name of which nothing is left changes no folder that is there', async () => {
  await unpack(
    tarHeader({ name: '..', type: '5', mode: '0000777' }),
    tarHeader({ name: 'folder/../', type: '5', mode: '0000777' }),
    tarEntry('folder/file', ''),
  );
  expect(statSync(join(dir, 'work')).mode & 0o777).toBe(0o755);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});
