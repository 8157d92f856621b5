import { glob, readFile, stat } from 'node:fs/promises';
import { relative, resolve, sep } from 'node:path';

import { AppError } from '../errors.ts';
import type { KeyFile } from './key.ts';

/**
 * The files that `patterns` name, sorted by path: files, folders (all below), globs; a leading `!` takes out again.
 * @param input the setting's name, for messages
 * @throws `invalid-settings` for a pattern that matches nothing: a key over no files would never change
 */
export async function readFiles(
  input: string,
  patterns: readonly string[],
  cwd: string,
): Promise<KeyFile[]> {
  const exclude = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((pattern) => pattern.slice(1));
  const found = new Set<string>();
  for (const pattern of patterns.filter((p) => !p.startsWith('!'))) {
    const files = await filesOf(pattern, exclude, cwd);
    if (files.length === 0) {
      throw new AppError('invalid-settings', `${input}: no file matches "${pattern}" in ${cwd}`, {
        hint: 'Check the pattern, and that the files are there before this step (actions/checkout)',
      });
    }
    for (const file of files) found.add(file);
  }
  const paths = [...found].sort();
  return Promise.all(
    paths.map(async (path) => ({
      path: relative(cwd, path).split(sep).join('/'),
      content: await readFile(path),
    })),
  );
}

async function filesOf(
  pattern: string,
  exclude: readonly string[],
  cwd: string,
): Promise<string[]> {
  const files: string[] = [];
  for await (const match of glob(pattern, { cwd, exclude: [...exclude] })) {
    const path = resolve(cwd, match);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile()) files.push(path);
    if (found?.isDirectory() && !pattern.includes('*')) {
      files.push(...(await filesOf(`${match}/**`, exclude, cwd)));
    }
  }
  return files;
}
