import { readFileSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import { join } from 'node:path';

import { AppError, messageOf, systemCodeOf } from './errors.ts';
import { parseJson } from './json.ts';

// What the docker client keeps in its folder, for whoever is to do as it does.
// https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties

export type Environment = Readonly<Record<string, string | undefined>>;
export type Fields = Readonly<Record<string, unknown>>;

/** `$DOCKER_CONFIG`, else `.docker` in the user's home. Variables that are set but empty count as not set. */
export function dockerConfigDir(env: Environment): string {
  const home = env[platform() === 'win32' ? 'USERPROFILE' : 'HOME'] || homedir();
  return env['DOCKER_CONFIG'] || join(home, '.docker');
}

export function dockerConfigFile(env: Environment): string {
  return join(dockerConfigDir(env), 'config.json');
}

/**
 * The fields of a JSON file; `undefined` without it.
 * The docker client warns of a broken file and goes on as if it were empty: that may be another engine than the one
 * that was chosen, so here it is an error.
 * @throws `invalid-settings` for a file that cannot be read, or is no JSON
 */
export function readFields(file: string): Fields | undefined {
  try {
    return parseFields(readFileSync(file, 'utf8'));
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new AppError('invalid-settings', `${file} cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'It belongs to the docker client. Mend it, or choose another folder with DOCKER_CONFIG',
    });
  }
}

/** As the docker client does, an empty text is taken for an empty object. @throws `invalid-settings` for what is no JSON */
export function parseFields(text: string): Fields {
  if (text.trim() === '') return {};
  // The parser's own words quote the text, which may hold a secret.
  return fieldsOf(parseJson(text, () => new AppError('invalid-settings', 'it is no JSON')));
}

export function fieldsOf(value: unknown): Fields {
  // A cast: an object has fields of which nothing is known.
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
