import { stat } from 'node:fs/promises';
import { posix, relative, resolve, sep } from 'node:path';

import { AppError, systemCodeOf } from '../errors.ts';
import { longestPrefix } from '../paths.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import { movedTo, packFiles } from '../runtime/small-tar.ts';
import type { WantedFiles } from '../settings.ts';
import { contentOf, readFiles } from '../snapshot/key-files.ts';
import type { KeyFile } from '../snapshot/key.ts';

/** A file of this machine, and where a container gets a copy of it. */
export interface ContainerFile {
  readonly file: KeyFile;
  /** Absolute, in the container. */
  readonly path: string;
  readonly mode: number;
  readonly owner: number;
  readonly group: number;
}

/**
 * The files of the input `files`. They have the modes that they have here, but only their owner may write to them: some
 * servers pass over a file of settings that others can change, and what a group may do depends on the machine.
 * @throws `invalid-settings`
 */
export async function resolveFiles(
  wanted: readonly WantedFiles[],
  cwd: string,
): Promise<ContainerFile[]> {
  const found = new Map<string, ContainerFile>();
  for (const { local, target, owner, group } of wanted) {
    const source = resolve(cwd, local);
    for (const file of await readFiles('files', [local], cwd)) {
      const below = relative(source, file.source).split(sep).join('/');
      if (/^\.\.(\/|$)/.test(below)) {
        throw new AppError('invalid-settings', `files: ${local} is neither a file nor a folder`, {
          hint: 'Name a file or a folder: patterns are not taken here',
        });
      }
      const name = below === '' && target.endsWith('/') ? posix.basename(file.path) : below;
      const path = posix.join(target, name);
      if (found.has(path)) {
        throw new AppError('invalid-settings', `files: two are to be ${path} in the container`);
      }
      found.set(path, { file, path, mode: await modeOf(file), owner, group });
    }
  }
  return [...found.values()];
}

async function modeOf({ source, path }: KeyFile): Promise<number> {
  try {
    return (await stat(source)).mode & 0o755;
  } catch (error) {
    const why = systemCodeOf(error) ?? 'no such file';
    throw new AppError('invalid-settings', `files: ${path} cannot be looked at: ${why}`, {
      cause: error,
      hint: 'Let nothing remove it while the database is started',
    });
  }
}

/**
 * @param taken what the container has at these absolute paths, in words
 * @throws `invalid-settings` for a file that would be put into a volume, and so into the snapshot, or be hidden
 */
export function requireOwnPlace(
  files: readonly ContainerFile[],
  taken: Readonly<Record<string, string>>,
): void {
  for (const { path } of files) {
    const folder = longestPrefix(Object.keys(taken), path);
    if (folder === undefined) continue;
    throw new AppError(
      'invalid-settings',
      `files: ${path} lies in ${folder}, ${taken[folder] ?? ''}`,
      {
        hint: 'Put it elsewhere in the container, and name that place in "args"',
      },
    );
  }
}

/** Into a container that was created, before it is started. Folders that are missing are made. */
export async function putFiles(
  runtime: ContainerRuntime,
  id: string,
  files: readonly ContainerFile[],
  signal: AbortSignal,
): Promise<void> {
  if (files.length === 0) return;
  const packed = files.map(({ file, ...place }) => ({
    ...place,
    sizeBytes: file.sizeBytes,
    content: contentOf(file),
  }));
  await runtime.putArchive(id, '/', packFiles(packed), signal);
}

/**
 * From one container into another one, which was created and not started.
 * @throws `invalid-settings` for one that is not there any more
 */
export async function copyFiles(
  runtime: ContainerRuntime,
  from: string,
  to: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const path of paths) {
    const tar = await runtime.getArchive(from, path, signal);
    if (!tar) {
      throw new AppError('invalid-settings', `${path} is not in the container any more`, {
        hint: 'Something has removed it since the start. Stop the database and start it again',
      });
    }
    try {
      await runtime.putArchive(to, '/', movedTo(path, tar), signal);
    } finally {
      tar.destroy(); // else the engine holds the first container until somebody reads on
    }
  }
}
