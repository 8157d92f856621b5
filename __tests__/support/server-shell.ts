import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { scriptEnv } from '../../src/usecases/scripts.ts';
import { containerLog, docker } from './docker-cli.ts';
import { engineNamed } from './engines.ts';
import type { Server } from './servers.ts';

const run = promisify(execFile);

/** Of the report of a `start`. */
export interface Serving {
  readonly container: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/** What a script prints that is run as `check` is; rejects when it fails. */
export function runIn(
  { inputs, image }: Server,
  { container, host, port, user, database }: Serving,
  script: string,
): Promise<string> {
  const engine = engineNamed(inputs?.engine, image);
  // All that a report does not tell.
  const password = inputs?.password ?? engine.defaults.password;
  const endpoint = { host, port, user, password, database };
  return shell(script, scriptEnv({ engine, id: container, endpoint }));
}

export async function shell(
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { stdout } = await run('bash', ['-e', '-o', 'pipefail', '-c', script], {
    env: { ...process.env, ...env },
  });
  return stdout.trim();
}

export async function logOf({ logFile }: Server, container: string): Promise<string> {
  const own = logFile === undefined ? '' : await docker('exec', container, 'cat', logFile);
  return `${await containerLog(container)}\n${own}`;
}
