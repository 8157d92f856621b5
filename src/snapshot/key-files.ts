import type { Stats } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, matchesGlob, relative, resolve, sep } from 'node:path';

import { AppError } from '../errors.ts';
import type { KeyFile } from './key.ts';

/**
 * The files that `patterns` name, sorted by path: files, folders (all below), globs; a leading `!` takes out again.
 * Hidden files and what lies behind symlinks count like all others: a change in them is a change.
 * @param input the setting's name, for messages
 * @throws `invalid-settings` for a pattern that matches nothing: a key over no files would never change
 */
export async function readFiles(
  input: string,
  patterns: readonly string[],
  cwd: string,
): Promise<KeyFile[]> {
  const excluded = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((pattern) => globOf(pattern.slice(1), cwd));
  const isExcluded = (path: string): boolean => excluded.some((glob) => matches(path, glob));
  const found = new Set<string>();
  for (const pattern of patterns.filter((p) => !p.startsWith('!'))) {
    const files = await filesOf(pattern, cwd, isExcluded);
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

/** A pattern in two parts: the folder (or file) up to the first character of a glob, and the rest below it. */
interface Glob {
  readonly base: string;
  /** Without any: all that is below `base`. */
  readonly rest: string;
}

function globOf(pattern: string, cwd: string): Glob {
  const segments = pattern.split('/');
  const magic = segments.findIndex((segment) => /[*?[\]{}()!]/.test(segment));
  const literal = magic === -1 ? segments : segments.slice(0, magic);
  const rest = magic === -1 ? [] : segments.slice(magic);
  return {
    base: resolve(cwd, literal.join('/') || (pattern.startsWith('/') ? '/' : '.')),
    rest: rest.join('/'),
  };
}

function matches(path: string, { base, rest }: Glob): boolean {
  if (path === base) return rest === '';
  const below = relative(base, path);
  if (/^\.\.(\/|$)/.test(below)) return false;
  return rest === '' || matchesGlob(shown(below), shown(rest));
}

/** A leading dot as a character that wildcards match. */
function shown(path: string): string {
  return path.replaceAll(/(?<=^|\/)\./g, '\u0001');
}

async function filesOf(
  pattern: string,
  cwd: string,
  isExcluded: (path: string) => boolean,
): Promise<string[]> {
  const asItIs = resolve(cwd, pattern);
  const there = await kindOf(asItIs);
  const glob = there === undefined ? globOf(pattern, cwd) : { base: asItIs, rest: '' };
  if (there === 'file') return isExcluded(asItIs) ? [] : [asItIs];
  const files: string[] = [];
  for await (const file of filesBelow(glob.base, isExcluded, [])) {
    if (matches(file, glob)) files.push(file);
  }
  return files;
}

/**
 * Follows symlinks. A folder that leads back to one above it is not entered again; nor is Git's own, another one in every
 * checkout.
 */
async function* filesBelow(
  folder: string,
  isExcluded: (path: string) => boolean,
  above: readonly string[],
): AsyncGenerator<string> {
  const real = await realpath(folder).catch(() => undefined);
  if (real === undefined || above.includes(real)) return;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (isExcluded(path) || entry.name === '.git') continue;
    const kind = entry.isSymbolicLink() ? await kindOf(path) : kindOfEntry(entry);
    if (kind === 'file') yield path;
    if (kind === 'folder') yield* filesBelow(path, isExcluded, [...above, real]);
  }
}

type Kind = 'file' | 'folder' | undefined;

async function kindOf(path: string): Promise<Kind> {
  const found = await stat(path).catch(() => undefined);
  return found && kindOfEntry(found);
}

function kindOfEntry(entry: Pick<Stats, 'isFile' | 'isDirectory'>): Kind {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'folder' : undefined;
}
