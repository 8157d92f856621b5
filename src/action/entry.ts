import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';

import * as core from '@actions/core';

import { composeStoreTools, composeTools, type Surroundings } from '../compose.ts';
import { explain, toAppError } from '../errors.ts';
import { runLabels } from '../runtime/labels.ts';
import { parseSettings, type Settings } from '../settings.ts';
import type { RunIdentity } from '../usecases/context.ts';
import { removeRun } from '../usecases/remove.ts';
import { start } from '../usecases/start.ts';
import { readInputs, readToken } from './inputs.ts';
import { actionsLog } from './log.ts';
import { setOutputs, writeSummary } from './report.ts';
import { loadState, saveState } from './state.ts';
import { untrustedReason } from './trust.ts';

/** How much of the database's log post prints. */
const postLogLines = 50;

/** The main phase: any error fails the step. */
export async function main(): Promise<void> {
  await phase(async (signal) => {
    core.setOutput('cache-hit', 'false');
    const around = surroundings();
    const { token } = around;
    const settings = parseSettings(readInputs(), { defaultStore: 'actions-cache', token });
    const who = identity(settings, around.cwd);
    saveState({ run: who.owner.run });
    await using composed = await composeStoreTools(around, settings.copy, settings.store);
    const report = await start(composed.tools, settings, who, signal);
    setOutputs(report);
    await writeSummary(report);
    core.info(
      `${report.outcome}: ${settings.name} serves at ${report.endpoint.host}:${report.endpoint.port}`,
    );
  }, core.setFailed);
}

/** The post phase: removes exactly what main created. Its errors are warnings: the job's result is decided. */
export async function post(): Promise<void> {
  await phase(async () => {
    const state = loadState();
    if (!state) return;
    await using composed = await composeTools(surroundings(), 'auto');
    const { runtime } = composed.tools;
    for (const { id, name, running, exitCode } of await runtime.listContainers(
      runLabels(state.run),
    )) {
      if (!running)
        core.warning(`the container ${name} had ended before the job did (exit code ${exitCode})`);
      await core.group(`Last log lines of ${name}`, async () => {
        for (const line of await runtime.logs(id, postLogLines)) core.info(line);
      });
    }
    const removed = await removeRun(runtime, state.run);
    core.info(
      `removed: ${[...removed.containers, ...removed.volumes].join(', ') || 'nothing was left'}`,
    );
  }, core.warning);
}

/** The only try/catch and the only exit. A cancelled run (SIGINT, then SIGTERM) cleans up before it ends. */
async function phase(
  work: (signal: AbortSignal) => Promise<void>,
  fail: (message: string) => void,
): Promise<void> {
  const controller = new AbortController();
  const cancel = (): void => {
    controller.abort();
  };
  process.on('SIGINT', cancel).on('SIGTERM', cancel);
  try {
    await work(controller.signal);
  } catch (thrown) {
    const error = toAppError(thrown);
    fail(explain(error));
    for (const line of error.details) core.info(line);
    core.debug(error.stack ?? '');
  }
  // The clients of the container engine and of GitHub's services keep connections open.
  process.exit();
}

function surroundings(): Surroundings {
  const { env } = process;
  return {
    log: actionsLog,
    tempDir: env['RUNNER_TEMP'] ?? tmpdir(),
    cwd: env['GITHUB_WORKSPACE'] ?? process.cwd(),
    // A `run:` step does not get the tokens of GitHub's services, nor our inputs: neither do the user's scripts.
    env: Object.fromEntries(
      Object.entries(env).filter(
        ([name]) => !/^(ACTIONS_(RUNTIME|RESULTS|CACHE)_|INPUT_|STATE_)/.test(name),
      ),
    ),
    outputFd: 1,
    token: readToken(),
  };
}

function identity({ name, store }: Settings, cwd: string): RunIdentity {
  const { env } = process;
  const provenance = {
    repository: env['GITHUB_REPOSITORY'],
    ref: env['GITHUB_REF'],
    sha: env['GITHUB_SHA'],
    run: env['GITHUB_RUN_ID'],
    attempt: env['GITHUB_RUN_ATTEMPT'],
    job: env['GITHUB_JOB'],
    event: env['GITHUB_EVENT_NAME'],
  };
  return {
    owner: {
      run: randomUUID(),
      name,
      scope: `job-${env['GITHUB_RUN_ID'] ?? '0'}-${env['GITHUB_JOB'] ?? 'local'}`,
    },
    provenance: Object.fromEntries(
      Object.entries(provenance).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      ),
    ),
    cwd,
    untrusted: untrustedReason(env, store),
  };
}
