import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';

import * as core from '@actions/core';

import { withAftermath, warnOf } from '../aftermath.ts';
import { composeRuntime, composeStoreTools, timeoutMsOf, type Surroundings } from '../compose.ts';
import { runLabels } from '../runtime/labels.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import { parseSettings, type Settings } from '../settings.ts';
import type { StoreLocation } from '../stores/location.ts';
import type { RunIdentity, StoreTools } from '../usecases/context.ts';
import { repair } from '../usecases/recover.ts';
import { removeRun } from '../usecases/remove.ts';
import { start } from '../usecases/start.ts';
import { collectUpload } from './collect-upload.ts';
import { handOver } from './hand-over.ts';
import { isJobCancelled, readInputs, readUpload } from './inputs.ts';
import { info } from './log.ts';
import { jobScope } from '../job-scope.ts';
import { addSavings, removeSavings } from './job-savings.ts';
import { phase, provenance, serviceTokens, settingsContext, surroundings } from './phase.ts';
import { setOutput, setOutputs, writeSummary } from './report.ts';
import { loadState, saveState } from './state.ts';
import { startSummary } from './summary.ts';
import { isReadableByAll, untrustedReason, warnOfReaders } from './trust.ts';

/** How much of the database's log post prints. */
const postLogLines = 50;

/** The main phase: any error fails the step. */
export async function main(): Promise<void> {
  await phase(async (signal) => {
    setOutput('cache-hit', 'false');
    const around = surroundings();
    const settings = parseSettings(readInputs(), settingsContext(around));
    const inBackground = readUpload() === 'background';
    const who = identity(settings, around.cwd);
    saveState({ run: who.owner.run });
    await using composed = await composeStoreTools(around, settings.copy, settings.store);
    await repair(composed.tools, signal);
    const tools = {
      ...composed.tools,
      ...(inBackground && { handOver: uploader(settings.store, who.owner.run, around) }),
    };
    const report = await start(tools, settings, who, signal);
    setOutputs(report);
    await writeSummary(async () => {
      const saved = report.savings?.savedSeconds;
      return startSummary(report, await addSavings(around.tempDir, who.owner.scope, saved));
    });
    if (report.save.kind === 'saved') warnOfReaders(settings.store, around.secrets);
    info(
      `${report.outcome}: ${settings.name} serves at ${report.endpoint.host}:${report.endpoint.port}`,
    );
  }, core.setFailed);
}

/** The post phase: removes exactly what main created. Its errors are warnings: the job's result is decided. */
export async function post(): Promise<void> {
  await phase(async (signal) => {
    const state = loadState();
    if (!state) return;
    const around = surroundings();
    const { log, tempDir } = around;
    const collect = async (): Promise<void> => {
      if (state.upload) await collectUpload(state.upload, isJobCancelled(), signal);
    };
    const forget = (): Promise<void> => removeSavings(tempDir, jobScope(process.env));
    await withAftermath(
      log,
      () => removeMade(around, state.run),
      () => withAftermath(log, collect, forget),
    );
  }, core.warning);
}

async function removeMade(around: Surroundings, run: string): Promise<void> {
  const runtime = await composeRuntime(around);
  try {
    await showLogs(runtime, run);
  } catch (error) {
    warnOf(around.log, error);
  }
  const removed = await removeRun(runtime, run);
  info(`removed: ${[...removed.containers, ...removed.volumes].join(', ') || 'nothing was left'}`);
}

async function showLogs(runtime: ContainerRuntime, run: string): Promise<void> {
  for (const { id, name, running, exitCode } of await runtime.listContainers(runLabels(run))) {
    if (!running)
      core.warning(`the container ${name} had ended before the job did (exit code ${exitCode})`);
    await core.group(`Last log lines of ${name}`, async () => {
      for (const line of await runtime.logs(id, postLogLines)) info(line);
    });
  }
}

/** Hands bundles to a process that post waits for. */
function uploader(
  store: StoreLocation,
  run: string,
  around: Surroundings,
): NonNullable<StoreTools['handOver']> {
  return (key, bundleDir) => {
    const { passphrase } = around.secrets ?? {};
    const order = { key, store: writableStore(store), passphrase, env: serviceTokens() };
    return handOver(bundleDir, order, around, (started) => {
      const readableByAll = isReadableByAll(process.env, store, around.secrets);
      const upload = { ...started, key, timeoutMs: timeoutMsOf(store), readableByAll };
      saveState({ run, upload });
    });
  };
}

/** The store for a process that only saves, in another folder. */
function writableStore(store: StoreLocation): StoreLocation {
  switch (store.kind) {
    case 'actions-cache':
      return store;
    case 'artifact':
      return { ...store, from: { kind: 'this-run' } };
    case 'file':
      return { ...store, dir: resolve(store.dir) };
  }
}

function identity({ name, store }: Settings, cwd: string): RunIdentity {
  return {
    owner: { run: randomUUID(), name, scope: jobScope(process.env) },
    provenance: provenance(),
    cwd,
    untrusted: untrustedReason(process.env, store),
  };
}
