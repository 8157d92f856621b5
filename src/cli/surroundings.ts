import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Surroundings } from '../compose.ts';
import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { jobScope } from '../job-scope.ts';
import { homeFolder } from '../paths.ts';
import type { ResultStream } from './divert.ts';

export interface CliSurroundings extends Surroundings {
  /** Within which names of databases are unique: those of a job are found by all of its steps. */
  readonly scope: string;
  /** Where `--store` is not given. */
  readonly defaultStore: string;
  /** Where a result goes that is more than a text. */
  readonly resultStream: ResultStream;
}

/**
 * All that is taken from the process, in one place.
 * @param identityFiles of the flag --identity, which stands for the variable
 * @throws `invalid-settings` for a secret among the arguments
 */
export function readSurroundings(
  log: Log,
  resultStream: ResultStream,
  identityFiles: string | undefined,
): CliSurroundings {
  const { SNAPVOL_IDENTITY, SNAPVOL_PASSPHRASE, ...env } = process.env;
  if (/AGE-SECRET-KEY-/i.test(identityFiles ?? '')) {
    throw new AppError(
      'invalid-settings',
      '--identity takes a file: a secret among the arguments shows in the list of processes',
      { hint: 'Write it to a file that only you can read, or set $SNAPVOL_IDENTITY' },
    );
  }
  const token = env['GH_TOKEN'] || env['GITHUB_TOKEN'] || undefined;
  if (token !== undefined) log.mask(token);
  return {
    log,
    tempDir: env['TMPDIR'] || tmpdir(),
    cwd: process.cwd(),
    home: homeFolder(),
    // Without the secrets: the user's scripts get it.
    env,
    // stdout is for the result alone.
    outputFd: 2,
    token,
    secrets: { identity: identityFiles ?? SNAPVOL_IDENTITY, passphrase: SNAPVOL_PASSPHRASE },
    scope: env['GITHUB_RUN_ID'] ? jobScope(env) : 'cli',
    defaultStore: defaultStore(env),
    resultStream,
  };
}

/** `$SNAPVOL_STORE`, else a folder where the user's data belongs. Variables that are set but empty count as not set. */
export function defaultStore(env: Readonly<Record<string, string | undefined>>): string {
  const dataDir = env['XDG_DATA_HOME'] || '~/.local/share';
  return env['SNAPVOL_STORE'] || `file:${join(dataDir, 'snapvol')}`;
}
