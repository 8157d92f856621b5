import { mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

import { AppError, systemCodeOf } from './errors.ts';

/** Of the user that runs this; `undefined` where nobody knows, as under an id without an account. */
export function homeFolder(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    return undefined;
  }
}

/**
 * A path of this machine as the user gives it, with `~/` as a shell has it: where no shell has read it (an input of a
 * workflow, `--flag=~/x`), nobody else has done that.
 * @param home see {@link homeFolder}
 * @throws `invalid-settings` for `~NAME`, and without a home folder
 */
export function atHome(path: string, home: string | undefined): string {
  if (!path.startsWith('~')) return path;
  if (!/^~(\/|$)/.test(path)) {
    throw new AppError('invalid-settings', `"${path}": of "~" only "~/" is understood`, {
      hint: `Write the path in full, or "./${path}" for a file of that name`,
    });
  }
  if (home === undefined) {
    throw new AppError('invalid-settings', `"${path}": there is no home folder here`, {
      hint: 'Set HOME, or write the path in full',
    });
  }
  return join(home, path.slice(1));
}

/**
 * Makes a folder that may be there, and those around it. Node's own way calls a read-only disk one that is not there:
 * https://github.com/nodejs/node/issues/47098
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path).catch((again: unknown) => {
      // Another process may have made it meanwhile.
      if (systemCodeOf(again) !== 'EEXIST') throw again;
    });
  }
}

/** The longest of `folders` that is `path` or contains it. */
export function longestPrefix(folders: readonly string[], path: string): string | undefined {
  return folders
    .map((folder) => folder.replace(/\/+$/, ''))
    .filter((folder) => path === folder || path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}
