import * as core from '@actions/core';

import { composeStoreTools } from '../compose.ts';
import { AppError, explain, toAppError, type ErrorCode } from '../errors.ts';
import type { StoreTools } from '../usecases/context.ts';
import type { SavedSnapshot, SaveSeconds } from '../usecases/destination.ts';
import { repair } from '../usecases/recover.ts';
import { saveVolumes } from '../usecases/save-volumes.ts';
import { save } from '../usecases/save.ts';
import {
  hasSources,
  parseSaveSettings,
  saveInputNames,
  saveRequest,
  type SaveSettings,
} from '../volume-settings.ts';
import { readNamed } from './inputs.ts';
import { info } from './log.ts';
import { jobScope } from '../job-scope.ts';
import { phase, provenance, settingsContext, surroundings } from './phase.ts';
import { setOutput, writeSummary } from './report.ts';
import { volumesSummary } from './summary.ts';
import { untrustedReason, warnOfReaders } from './trust.ts';

/** What the step reports; JSON where it is a list. */
interface Outcome {
  readonly saved: boolean;
  readonly reason?: string;
  readonly snapshot?: SavedSnapshot;
  readonly seconds?: SaveSeconds;
  readonly volumes?: readonly { readonly source: string; readonly sizeBytes?: number }[];
  readonly changedPorts?: readonly unknown[];
}

/**
 * What the user must put right, or what the job cannot go on with. Anything else means that there is no snapshot, which
 * is a warning unless "fail-on-save-error" is set.
 */
const fatal: ReadonlySet<ErrorCode> = new Set([
  'invalid-settings',
  'docker-unreachable',
  'container-missing',
  'container-unhealthy',
  'volume-missing',
  'cancelled',
  'internal',
]);

/** The sub-action save/. */
export async function saveAction(): Promise<void> {
  await phase(async (signal) => {
    setOutput('saved', 'false');
    const around = surroundings();
    const settings = parseSaveSettings(readNamed(saveInputNames), settingsContext(around));
    const { key, store, copy } = settings.copy;
    if (key === undefined)
      throw new AppError('invalid-settings', 'key: give the key of the snapshot');
    if (settings.login.password !== undefined) around.log.mask(settings.login.password);
    await using composed = await composeStoreTools(around, copy, store);
    await repair(composed.tools, signal);
    const outcome = await saveIfWanted(composed.tools, settings, key, signal);
    setOutputs(key, outcome);
    await writeSummary(() => summaryOf(key, outcome));
    if (outcome.saved) warnOfReaders(store, around.secrets);
  }, core.setFailed);
}

async function saveIfWanted(
  tools: StoreTools,
  settings: SaveSettings,
  key: string,
  signal: AbortSignal,
): Promise<Outcome> {
  const reason =
    settings.save === 'false'
      ? 'save is false'
      : (settings.save === 'auto' && untrustedReason(process.env, settings.copy.store)) ||
        (await isThere(tools, settings, key, signal));
  if (reason) {
    info(`Not saved: ${reason}`);
    return { saved: false, reason };
  }
  try {
    return await saveNow(tools, settings, key, signal);
  } catch (thrown) {
    const error = toAppError(thrown);
    if (settings.failOnSaveError || fatal.has(error.code)) throw error;
    core.warning(`the snapshot was not saved: ${explain(error)}`);
    for (const line of error.details) info(line);
    return { saved: false, reason: error.message };
  }
}

/** As with actions/cache/save, a key that has a snapshot is no reason to worry. */
async function isThere(
  { store }: StoreTools,
  { overwrite }: SaveSettings,
  key: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (overwrite) return undefined;
  try {
    const found = await store.find({ primary: key, prefixes: [] }, signal);
    return found && found.source === undefined ? `${key} is there already` : undefined;
  } catch {
    return undefined; // the save itself meets the same trouble, and tells it
  }
}

async function saveNow(
  tools: StoreTools,
  settings: SaveSettings,
  key: string,
  signal: AbortSignal,
): Promise<Outcome> {
  const request = { ...saveRequest(settings), key, provenance: provenance() };
  if (hasSources(settings)) {
    return { saved: true, ...(await saveVolumes(tools, request, signal)) };
  }
  const report = await save(tools, { ...request, scope: jobScope(process.env) }, signal);
  return { saved: true, ...report, volumes: report.volumes.map((source) => ({ source })) };
}

function summaryOf(key: string, outcome: Outcome): string {
  const { saved, reason, snapshot, seconds, volumes = [] } = outcome;
  return volumesSummary({
    ...{ title: 'Save a snapshot', result: saved ? 'saved' : 'not saved', reason, key },
    snapshotBytes: snapshot?.sizeBytes,
    volumes: volumes.map(({ source, ...rest }) => ({ name: source, ...rest })),
    copy: snapshot && seconds && { bytes: snapshot.unpackedBytes, seconds: seconds.snapshot },
    totalSeconds: seconds?.total,
  });
}

function setOutputs(key: string, outcome: Outcome): void {
  setOutput('cache-primary-key', key);
  setOutput('saved', String(outcome.saved));
  setOutput('reason', outcome.reason ?? '');
  setOutput('snapshot-digest', outcome.snapshot?.digest ?? '');
  setOutput('snapshot-size', outcome.snapshot?.sizeBytes ?? '');
  setOutput('volumes', JSON.stringify(outcome.volumes ?? []));
  setOutput('changed-ports', JSON.stringify(outcome.changedPorts ?? []));
  if (outcome.saved) info(`saved ${key}`);
}
