import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, matchesGlob, relative, resolve, sep } from 'node:path';

import { AppError, messageOf, systemCodeOf } from '../errors.ts';
import type { KeyFile } from './key.ts';

/**
 * The files that `patterns` name, sorted by path: files, folders (all below), globs; a leading `!` takes out again.
 * Hidden files and what lies behind symlinks count like all others: a change in them is a change. Folders in which no
 * pattern can match are not looked into, and contents are hashed, not kept.
 * @param input the setting's name, for messages
 * @throws `invalid-settings` for a pattern that matches nothing (a key over no files would never change), and for what
 *   matches and cannot be read, by its path
 */
export async function readFiles(
  input: string,
  patterns: readonly string[],
  cwd: string,
): Promise<KeyFile[]> {
  const excluded = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((pattern) => globOf(pattern.slice(1), cwd));
  const walk: Walk = {
    isExcluded: (path) => excluded.some((glob) => matches(path, glob)),
    isPassedOver: (folder) =>
      excluded.some((glob) => matches(folder, glob) || takesAllOf(folder, glob)),
    fail: (what, path, error) => unreadable(input, what, shownPath(path, cwd), error),
  };
  const found = new Set<string>();
  for (const pattern of patterns.filter((p) => !p.startsWith('!'))) {
    const files = await filesOf(pattern, cwd, walk);
    if (files.length === 0) {
      throw new AppError('invalid-settings', `${input}: no file matches "${pattern}" in ${cwd}`, {
        hint: 'Check the pattern, and that the files are there before this step (actions/checkout)',
      });
    }
    for (const file of files) found.add(file);
  }
  const paths = [...found].sort();
  const files: KeyFile[] = [];
  for (let at = 0; at < paths.length; at += openAtOnce) {
    const some = paths.slice(at, at + openAtOnce);
    files.push(...(await Promise.all(some.map((path) => hashed(input, path, cwd)))));
  }
  return files;
}

/**
 * What a file holds, once more.
 * @throws `invalid-settings` where that is no longer what entered the key, at the latest after its last byte
 */
export async function* contentOf(file: KeyFile): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  try {
    for await (const chunk of chunksOf(file.source)) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > file.sizeBytes) throw hasChanged(file);
      yield chunk;
    }
  } catch (error) {
    throw error instanceof AppError
      ? error
      : unreadable(file.input, 'cannot be read', file.path, error);
  }
  if (sizeBytes !== file.sizeBytes || hash.digest('hex') !== file.sha256) throw hasChanged(file);
}

/** Opening one costs more than reading it, most often. */
const openAtOnce = 8;

async function hashed(input: string, source: string, cwd: string): Promise<KeyFile> {
  const path = shownPath(source, cwd);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  try {
    for await (const chunk of chunksOf(source)) {
      hash.update(chunk);
      sizeBytes += chunk.length;
    }
  } catch (error) {
    throw unreadable(input, 'cannot be read', path, error);
  }
  return { input, path, source, sizeBytes, sha256: hash.digest('hex') };
}

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  // A pipe that takes the file's place meanwhile would wait for whoever writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    // A cast: without an encoding it yields buffers.
    yield* file.createReadStream({
      highWaterMark: 256 * 1024,
      autoClose: false,
    }) as AsyncIterable<Buffer>;
  } finally {
    await file.close();
  }
}

function hasChanged({ input, path }: KeyFile): AppError {
  return new AppError('invalid-settings', `${input}: ${path} has changed since it was hashed`, {
    hint: 'Let nothing write to it while the database is started',
  });
}

function unreadable(input: string, what: string, path: string, error?: unknown): AppError {
  const why = error === undefined ? '' : `: ${systemCodeOf(error) ?? messageOf(error)}`;
  return new AppError('invalid-settings', `${input}: ${path} ${what}${why}`, {
    cause: error,
    hint: `Make it readable, or leave it out: add the line "!${path}" after the patterns`,
  });
}

function shownPath(path: string, cwd: string): string {
  return relative(cwd, path).split(sep).join('/') || '.';
}

/** What all patterns of one input have in common. */
interface Walk {
  readonly isExcluded: (path: string) => boolean;
  /** All that is below it is excluded. */
  readonly isPassedOver: (folder: string) => boolean;
  readonly fail: (what: string, path: string, error?: unknown) => AppError;
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
  const below = belowBase(path, base);
  return below !== undefined && (rest === '' || matchesGlob(shown(below), shown(rest)));
}

function belowBase(path: string, base: string): string | undefined {
  const below = relative(base, path).split(sep).join('/');
  return /^\.\.(\/|$)/.test(below) ? undefined : below;
}

/** `folder/**` takes all of a folder, which itself it does not match. */
function takesAllOf(folder: string, { base, rest }: Glob): boolean {
  const above = rest.replace(/(^|\/)\*\*(\/\*)?$/, '');
  return above !== rest && matches(folder, { base, rest: above });
}

/** Whether something below `folder`, which is `base` or below it, can match. */
function canMatchBelow(folder: string, { base, rest }: Glob): boolean {
  const below = belowBase(folder, base);
  if (rest === '' || below === undefined || below === '') return below !== undefined;
  const segments = rest.split('/');
  for (const [at, name] of below.split('/').entries()) {
    const segment = segments[at];
    if (segment === undefined) return false;
    // From one that may stand for several on, anything can match: `**`, and `{a/b,c}`, cut in two here.
    if (/^(\*\*|\.{0,2})$/.test(segment) || isCut(segment)) return true;
    if (!matchesGlob(shown(name), shown(segment))) return false;
    if (at + 1 === segments.length) return false;
  }
  return true;
}

function isCut(segment: string): boolean {
  const count = (characters: RegExp): number => segment.match(characters)?.length ?? 0;
  return count(/[{([]/g) !== count(/[})\]]/g);
}

/** A leading dot as a character that wildcards match. */
function shown(path: string): string {
  return path.replaceAll(/(?<=^|\/)\./g, '\u0001');
}

async function filesOf(pattern: string, cwd: string, walk: Walk): Promise<string[]> {
  const asItIs = resolve(cwd, pattern);
  const there = await kindOf(asItIs, walk);
  if (there === 'file') return walk.isExcluded(asItIs) ? [] : [asItIs];
  if (there === 'other') throw notRegular(asItIs, walk);
  const glob = there === undefined ? globOf(pattern, cwd) : { base: asItIs, rest: '' };
  if ((await kindOf(glob.base, walk)) !== 'folder') return [];
  const files: string[] = [];
  for await (const file of filesBelow(glob.base, glob, walk, [])) files.push(file);
  return files;
}

/**
 * Follows symlinks. A folder that leads back to one above it is not entered again; nor is Git's own, another one in every
 * checkout.
 */
async function* filesBelow(
  folder: string,
  glob: Glob,
  walk: Walk,
  above: readonly string[],
): AsyncGenerator<string> {
  const { real, entries } = await listed(folder, walk);
  if (above.includes(real)) return;
  for (const entry of entries) {
    const path = join(folder, entry.name.toString());
    const couldBeFile = matches(path, glob) && !walk.isExcluded(path);
    const couldBeEntered =
      canMatchBelow(path, glob) && !walk.isPassedOver(path) && !entry.name.equals(gitFolder);
    if (!couldBeFile && !couldBeEntered) continue;
    const kind = entry.isSymbolicLink() ? await kindOf(path, walk) : kindOfEntry(entry);
    const isWanted = kind === 'folder' ? couldBeEntered : kind !== undefined && couldBeFile;
    if (!isWanted) continue;
    // Its path as text leads to nothing, or to another file.
    if (!isUtf8(entry.name)) throw walk.fail('has a name that is not UTF-8', path);
    if (kind === 'other') throw notRegular(path, walk);
    if (kind === 'file') yield path;
    else yield* filesBelow(path, glob, walk, [...above, real]);
  }
}

const gitFolder = Buffer.from('.git');

async function listed(folder: string, walk: Walk) {
  try {
    const [real, entries] = await Promise.all([
      realpath(folder),
      readdir(folder, { withFileTypes: true, encoding: 'buffer' }),
    ]);
    return { real, entries };
  } catch (error) {
    throw walk.fail('cannot be listed', folder, error);
  }
}

function notRegular(path: string, walk: Walk): AppError {
  return walk.fail('is neither a file nor a folder, but a pipe, a socket or a device', path);
}

type Kind = 'file' | 'folder' | 'other';

/** Of what nothing can be at. A symlink that leads nowhere is passed over, as a glob would. */
const absent: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

async function kindOf(path: string, walk: Walk): Promise<Kind | undefined> {
  try {
    return kindOfEntry(await stat(path));
  } catch (error) {
    if (absent.has(systemCodeOf(error))) return undefined;
    throw walk.fail('cannot be looked at', path, error);
  }
}

function kindOfEntry(entry: Pick<Stats, 'isFile' | 'isDirectory'>): Kind {
  if (entry.isFile()) return 'file';
  return entry.isDirectory() ? 'folder' : 'other';
}
