import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { readFiles } from '../../../src/snapshot/key-files.ts';

let cwd = '';

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'key-files-'));
  mkdirSync(join(cwd, 'db/migrations/old'), { recursive: true });
  for (const path of [
    'db/seeds.sql',
    'db/migrations/2.sql',
    'db/migrations/1.sql',
    'db/migrations/old/0.sql',
  ]) {
    writeFileSync(join(cwd, path), path);
  }
});

afterEach(() => {
  rmSync(cwd, { recursive: true });
});

async function pathsOf(...patterns: string[]): Promise<string[]> {
  return (await readFiles('key-files', patterns, cwd)).map((file) => file.path);
}

test('files, folders and globs give sorted files, each once', async () => {
  expect(await pathsOf('db/seeds.sql', 'db/migrations/*.sql')).toEqual([
    'db/migrations/1.sql',
    'db/migrations/2.sql',
    'db/seeds.sql',
  ]);
  expect(await pathsOf('db', 'db/seeds.sql')).toHaveLength(4);
  expect(await pathsOf('db/**')).toHaveLength(4);
});

test('"!" takes files and folders out again', async () => {
  expect(await pathsOf('db/**/*.sql', '!db/migrations/old/**')).not.toContain(
    'db/migrations/old/0.sql',
  );
  expect(await pathsOf('db/**/*.sql', '!db/seeds.sql')).toHaveLength(3);
});

test('absolute paths are found too', async () => {
  expect(await pathsOf(join(cwd, 'db/seeds.sql'))).toEqual(['db/seeds.sql']);
});

test('contents come along', async () => {
  const [file] = await readFiles('key-files', ['db/seeds.sql'], cwd);
  expect(file?.content.toString()).toBe('db/seeds.sql');
});

test('a pattern that matches nothing is refused by name', async () => {
  await expect(readFiles('init', ['db/*.sql', 'dbb/**'], cwd)).rejects.toMatchObject({
    code: 'invalid-settings',
    message: expect.stringMatching(/init: no file matches "dbb\/\*\*"/),
  });
});

test('hidden files and what lies behind symlinks count, once and without end', async () => {
  mkdirSync(join(cwd, 'shared/.hidden'), { recursive: true });
  for (const path of ['shared/z.sql', 'shared/.hidden/h.sql', 'db/.env']) {
    writeFileSync(join(cwd, path), path);
  }
  symlinkSync('../shared', join(cwd, 'db/linked'));
  symlinkSync('../../db', join(cwd, 'db/migrations/loop'));
  const behind = ['db/linked/.hidden/h.sql', 'db/linked/z.sql'];
  for (const pattern of ['db', 'db/', 'db/**']) {
    const paths = await pathsOf(pattern);
    expect(paths).toEqual(expect.arrayContaining(['db/.env', ...behind]));
    expect(paths.filter((path) => path.includes('loop'))).toEqual([]);
  }
  expect(await pathsOf('db/**/*.sql')).toEqual(expect.arrayContaining(behind));
  expect(await pathsOf('db/*')).toEqual(['db/.env', 'db/seeds.sql']);
  expect(await pathsOf('**/*.sql', '!**/linked/**')).not.toEqual(expect.arrayContaining(behind));
});

test('a name with the characters of a glob is taken as it is where there is such a file', async () => {
  writeFileSync(join(cwd, 'db/[1].sql'), '');
  expect(await pathsOf('db/[1].sql')).toEqual(['db/[1].sql']);
});

test('a broken symlink is passed over, as a glob would', async () => {
  symlinkSync('nowhere', join(cwd, 'db/broken'));
  expect(await pathsOf('db')).toHaveLength(4);
});
