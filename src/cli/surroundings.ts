import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Surroundings } from '../compose.ts';
import type { Log } from '../log.ts';
import type { ResultStream } from './divert.ts';

export interface CliSurroundings extends Surroundings {
  /** Where `--store` is not given. */
  readonly defaultStore: string;
  /** Where a result goes that is more than a text. */
  readonly resultStream: ResultStream;
}

/** All that is taken from the process, in one place. */
export function readSurroundings(log: Log, resultStream: ResultStream): CliSurroundings {
  const { env } = process;
  return {
    log,
    tempDir: env['TMPDIR'] || tmpdir(),
    cwd: process.cwd(),
    env,
    // stdout is for the result alone.
    outputFd: 2,
    token: env['GH_TOKEN'] || env['GITHUB_TOKEN'] || undefined,
    defaultStore: defaultStore(env, homedir()),
    resultStream,
  };
}

/** `$SNAPVOL_STORE`, else a folder where the user's data belongs. Variables that are set but empty count as not set. */
export function defaultStore(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): string {
  const dataDir = env['XDG_DATA_HOME'] || join(home, '.local', 'share');
  return env['SNAPVOL_STORE'] || `file:${join(dataDir, 'snapvol')}`;
}
