import { basename } from 'node:path';

import { AppError } from '../errors.ts';
import { keyLimit, keyProblem } from '../snapshot/key.ts';
import type { ImportRequest } from './import.ts';

/** Most file systems take names of 255 bytes; the endings of archives are to fit. */
const volumeNameLimit = 200;

/** `shop.tar.gz` is of `shop`. */
export function snapshotName({ name, from }: ImportRequest): string {
  if (name !== undefined) {
    if (name !== '' && name.length <= keyLimit) return name;
    throw new AppError('invalid-settings', `a name has 1 to ${keyLimit} characters`);
  }
  if ('stream' in from) {
    throw new AppError('invalid-settings', 'an archive from the standard input needs --name');
  }
  const base = basename(from.file);
  return base.replace(/(?<=.)(\.tar)?(\.(tar|tgz|tzst|gz|zst|zstd))$/i, '');
}

/** A volume to be made, and its folder where that is given. */
export interface Choice {
  readonly volume: string;
  readonly folder: string | undefined;
}

/** @throws `invalid-settings` */
export function checkedChoices(
  { volumes, mountPath }: ImportRequest,
  key: string,
  name: string,
): readonly Choice[] {
  const problem = keyProblem(key);
  if (problem !== undefined) throw new AppError('invalid-settings', `the key ${problem}`);
  const choices = volumes.map(({ volume = volumeName(name), folder }) => ({ volume, folder }));
  for (const { volume, folder } of choices) {
    requireVolumeName(volume);
    if (folder?.split('/').includes('..')) {
      throw new AppError(
        'invalid-settings',
        `"${folder}" is no folder of an archive: it has ".." in it`,
      );
    }
  }
  if (mountPath?.startsWith('/') === false) {
    throw new AppError('invalid-settings', `"${mountPath}" is not an absolute path in a container`);
  }
  if (choices.length === 1) return choices;
  if (volumes.some(({ volume, folder }) => volume === undefined || folder === undefined)) {
    throw new AppError(
      'invalid-settings',
      'each of several volumes needs a folder of the archive',
      {
        hint: 'Give them as --volume NAME=PREFIX',
      },
    );
  }
  if (mountPath !== undefined) {
    throw new AppError('invalid-settings', 'several volumes have no single mount path', {
      hint: 'Import them one by one, or without --mount-path',
    });
  }
  const twice =
    firstTwice(choices.map(({ volume }) => volume)) ??
    firstTwice(choices.map(({ folder }) => plainFolder(folder ?? '')));
  if (twice !== undefined)
    throw new AppError('invalid-settings', `"${twice}" is given for two volumes`);
  return choices;
}

function firstTwice(values: readonly string[]): string | undefined {
  return values.find((value, i) => values.indexOf(value) < i);
}

/** However it is written. */
function plainFolder(folder: string): string {
  return folder
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

function requireVolumeName(name: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) && name.length <= volumeNameLimit) return;
  throw new AppError('invalid-settings', `"${name}" cannot be the name of a volume`, {
    hint: 'Use two or more of letters, digits, ".", "_", "-", and begin with a letter or digit',
  });
}

/** The nearest that a volume may be called; one letter is too little. */
function volumeName(name: string): string {
  const allowed = name
    .replaceAll(/[^a-zA-Z0-9_.-]/g, '_')
    .replace(/^[^a-zA-Z0-9]+/, '')
    .slice(0, volumeNameLimit);
  return allowed.length > 1 ? allowed : ['volume', allowed].filter((part) => part !== '').join('-');
}
