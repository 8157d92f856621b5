import { tmpdir } from 'node:os';

import * as core from '@actions/core';

import type { Surroundings } from '../compose.ts';
import { explain, toAppError } from '../errors.ts';
import { homeFolder } from '../paths.ts';
import type { VolumeSettingsContext } from '../volume-settings.ts';
import { readSecrets, readToken } from './inputs.ts';
import { actionsLog, info } from './log.ts';

/** The only try/catch and the only exit. A cancelled run (SIGINT, then SIGTERM) cleans up before it ends. */
export async function phase(
  work: (signal: AbortSignal) => Promise<void>,
  fail: (message: string) => void,
): Promise<void> {
  const controller = new AbortController();
  const cancel = (): void => {
    controller.abort();
  };
  process.on('SIGINT', cancel).on('SIGTERM', cancel);
  // A runner that reads no more ends no work in the middle.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  try {
    await work(controller.signal);
  } catch (thrown) {
    const error = toAppError(thrown);
    fail(explain(error));
    for (const line of error.details) info(line);
    core.debug(error.stack ?? '');
  }
  // The clients of the container engine and of GitHub's services keep connections open.
  process.exit();
}

/** What the runner gives to the step. */
export function surroundings(): Surroundings {
  const { env } = process;
  return {
    log: actionsLog,
    tempDir: env['RUNNER_TEMP'] ?? tmpdir(),
    cwd: env['GITHUB_WORKSPACE'] ?? process.cwd(),
    home: homeFolder(),
    // A `run:` step does not get the tokens of GitHub's services, nor our inputs: neither do the user's scripts.
    env: Object.fromEntries(
      Object.entries(env).filter(
        ([name]) => !serviceVariable.test(name) && !/^(INPUT|STATE)_/.test(name),
      ),
    ),
    outputFd: 1,
    token: readToken(),
    secrets: readSecrets(),
  };
}

const serviceVariable = /^ACTIONS_(RUNTIME|RESULTS|CACHE)_/;

/** Addresses and tokens of GitHub's services, for a process that uploads. */
export function serviceTokens(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        serviceVariable.test(entry[0]) && entry[1] !== undefined,
    ),
  );
}

/** What the inputs are read with. */
export function settingsContext({ cwd, home, token }: Surroundings): VolumeSettingsContext {
  const repository = process.env['GITHUB_REPOSITORY'];
  return { defaultStore: 'actions-cache', token, cwd, home, repository };
}

/** Where a snapshot comes from. */
export function provenance(): Readonly<Record<string, string>> {
  const { env } = process;
  const known = {
    repository: env['GITHUB_REPOSITORY'],
    ref: env['GITHUB_REF'],
    sha: env['GITHUB_SHA'],
    run: env['GITHUB_RUN_ID'],
    attempt: env['GITHUB_RUN_ATTEMPT'],
    job: env['GITHUB_JOB'],
    event: env['GITHUB_EVENT_NAME'],
  };
  return Object.fromEntries(
    Object.entries(known).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
