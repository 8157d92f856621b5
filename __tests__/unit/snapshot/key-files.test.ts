import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { packFiles } from '../../../src/runtime/small-tar.ts';
import { contentOf, readFiles } from '../../../src/snapshot/key-files.ts';
import type { KeyFile } from '../../../src/snapshot/key.ts';

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

async function seedsFile(): Promise<KeyFile> {
  const [file] = await readFiles('init', ['db/seeds.sql'], cwd);
  if (!file) throw new Error('not found');
  return file;
}

test('contents come as a hash, and once more when they are asked for', async () => {
  const file = await seedsFile();
  expect(file).toMatchObject({
    sizeBytes: 12,
    // echo -n db/seeds.sql | sha256sum
    sha256: '07d8c741a555c78225e1e4c6f9c2fcf4e9c852fea442dc17135678030cb1f7e1',
  });
  expect((await buffer(packedAs('/init/seeds.sql', file))).toString()).toContain('db/seeds.sql\0');
});

const packedAs = (path: string, file: KeyFile) =>
  packFiles([
    { path, mode: 0o755, owner: 0, group: 0, sizeBytes: file.sizeBytes, content: contentOf(file) },
  ]);

test.each([
  ['longer', 'db/seeds.sql and more', /db\/seeds\.sql has changed since/],
  ['shorter', 'db', /db\/seeds\.sql has changed since/],
  ['other', 'db/seedZ.sql', /db\/seeds\.sql has changed since/],
  ['gone', undefined, /db\/seeds\.sql cannot be read: ENOENT/],
])('a file that is %s by now ends its tar with an error', async (_, content, message) => {
  const file = await seedsFile();
  const path = join(cwd, 'db/seeds.sql');
  if (content === undefined) rmSync(path);
  else writeFileSync(path, content);
  await expect(buffer(packedAs('/init/seeds.sql', file))).rejects.toMatchObject({
    code: 'invalid-settings',
    message: expect.stringMatching(message),
  });
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

/** Root may read everything: as somebody else, then. */
async function unprivileged<T>(work: () => Promise<T>): Promise<T> {
  chmodSync(cwd, 0o755);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('a folder in which nothing can match is not looked into, nor one that is excluded', async () => {
  mkdirSync(join(cwd, 'db/data'), { mode: 0o000 });
  await unprivileged(async () => {
    for (const wanted of ['db/*.sql', 'db/migrations/**/*.sql', 'db/[ms]*/**']) {
      expect(await pathsOf(wanted)).not.toEqual([]);
    }
    for (const excluded of ['!db/data', '!db/data/**', '!**/data/**/*', '!db/d*/**']) {
      expect(await pathsOf('db/**/*.sql', excluded)).toHaveLength(4);
    }
    expect(await pathsOf('{db/migrations,db/nowhere}/*.sql', '!db/data')).toHaveLength(2);
  });
});

test.each([
  ['a folder', 'db/**/*.sql', /db\/data cannot be listed: EACCES/],
  ['a folder that is named', 'db/data', /db\/data cannot be listed: EACCES/],
  ['what is in a folder', 'db/data/x.sql', /db\/data\/x\.sql cannot be looked at: EACCES/],
  ['a file', 'db/*', /db\/secret\.sql cannot be read: EACCES/],
])('%s that is wanted and may not be read is told by its path', async (_, pattern, message) => {
  mkdirSync(join(cwd, 'db/data'), { mode: 0o000 });
  writeFileSync(join(cwd, 'db/secret.sql'), '', { mode: 0o000 });
  await unprivileged(() => expectRefused([pattern], message));
});

async function expectRefused(patterns: readonly string[], message: RegExp): Promise<void> {
  await expect(readFiles('init', patterns, cwd)).rejects.toMatchObject({
    code: 'invalid-settings',
    message: expect.stringMatching(message),
  });
}

test('pipes, sockets and links that lead to themselves are told by their path, where they match', async () => {
  execFileSync('mkfifo', [join(cwd, 'db/pipe')]);
  symlinkSync('round', join(cwd, 'db/round'));
  for (const pattern of ['db/pipe', 'db/p*', 'db']) {
    await expectRefused([pattern, '!db/round'], /^init: db\/pipe is neither a file nor a folder/);
  }
  for (const pattern of ['db/round', 'db/r*', 'db']) {
    await expectRefused([pattern, '!db/pipe'], /^init: db\/round cannot be looked at: ELOOP/);
  }
  expect(await pathsOf('db/*.sql')).toEqual(['db/seeds.sql']);
  expect(await pathsOf('db', '!db/pipe', '!db/round')).toHaveLength(4);
});

test('a name that is not UTF-8 is told where it matches, and otherwise in nobody\u2019s way', async () => {
  const inDb = (name: string) =>
    Buffer.concat([Buffer.from(`${cwd}/db/`), Buffer.from(name, 'latin1')]);
  writeFileSync(inDb('caf\xe9.sql'), '');
  mkdirSync(inDb('caf\xe9s'));
  await expectRefused(['db/*.sql'], /^init: db\/caf\ufffd\.sql has a name that is not UTF-8/);
  await expectRefused(['db/**/*.ts', 'db/*.sql'], /db\/caf\ufffds has a name that is not UTF-8/);
  expect(await pathsOf('db/s*.sql')).toEqual(['db/seeds.sql']);
  expect(await pathsOf('db/**/*.sql', '!db/caf*', '!db/caf*/**')).toHaveLength(4);
});

test('what is below a file matches nothing', async () => {
  await expectRefused(['db/seeds.sql/*'], /no file matches/);
});

test('a broken symlink is passed over, as a glob would', async () => {
  symlinkSync('nowhere', join(cwd, 'db/broken'));
  expect(await pathsOf('db')).toHaveLength(4);
});
