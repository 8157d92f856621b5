import * as core from '@actions/core';

import { composeStoreTools } from '../compose.ts';
import { AppError, explain } from '../errors.ts';
import type { Found } from '../stores/store.ts';
import type { StoreTools } from '../usecases/context.ts';
import { repair } from '../usecases/recover.ts';
import { restore, type RestoreReport } from '../usecases/restore.ts';
import {
  parseRestoreSettings,
  restoreInputNames,
  type RestoreSettings,
} from '../volume-settings.ts';
import { readNamed } from './inputs.ts';
import { jobScope } from '../job-scope.ts';
import { phase, settingsContext, surroundings } from './phase.ts';
import { setOutput, writeSummary } from './report.ts';
import { volumesSummary } from './summary.ts';

const title = 'Restore a snapshot';

/** The sub-action restore/. Its outputs are those of actions/cache/restore, and some more. */
export async function restoreAction(): Promise<void> {
  await phase(async (signal) => {
    setOutput('cache-hit', 'false');
    const around = surroundings();
    const settings = parseRestoreSettings(readNamed(restoreInputNames), settingsContext(around));
    const { key, store, copy } = settings.copy;
    if (key === undefined)
      throw new AppError('invalid-settings', 'key: give the key of the snapshot');
    setOutput('cache-primary-key', key);
    await using composed = await composeStoreTools(around, copy, store);
    const { tools } = composed;
    await repair(tools, signal);
    const found = await lookUp(tools, key, settings, signal);
    if (!found) return;
    const report = settings.lookupOnly
      ? undefined
      : await restore(tools, found, { ...settings, scope: jobScope(process.env) }, signal);
    setOutputs(found, report);
    await writeSummary(() => summaryOf(key, found, report));
  }, core.setFailed);
}

/** @throws `snapshot-missing` where a miss is to fail the step */
async function lookUp(
  { store, log }: StoreTools,
  key: string,
  { restoreKeys, failOnMiss }: RestoreSettings,
  signal: AbortSignal,
): Promise<Found | undefined> {
  let reason = 'no snapshot for this key';
  try {
    const found = await store.find({ primary: key, prefixes: restoreKeys }, signal);
    if (found) return found;
  } catch (error) {
    // A store that does not answer is a miss, as it is for actions/cache; a job that needs the snapshot says so.
    if (!(error instanceof AppError) || error.code !== 'store-unavailable' || failOnMiss)
      throw error;
    log.warn(explain(error));
    reason = error.message;
  }
  if (failOnMiss) {
    throw new AppError('snapshot-missing', `no snapshot to restore: ${reason} (${key})`, {
      hint: 'Run the job that saves it first, or set "fail-on-miss" to false',
    });
  }
  log.info(`Miss: ${reason}`);
  setOutputs(undefined, undefined);
  await writeSummary(() => volumesSummary({ title, result: 'miss', reason, key }));
  return undefined;
}

function summaryOf(key: string, found: Found, report: RestoreReport | undefined): string {
  const { volumes = [], seconds } = report ?? {};
  const bytes = volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return volumesSummary({
    ...{ title, key },
    result: `${found.exact ? 'hit' : 'base'}${report ? '' : ', only looked up'}`,
    ...(!found.exact && { reason: found.key }),
    volumes: volumes.map(({ volume, sizeBytes }) => ({ name: volume, sizeBytes })),
    copy: seconds && { bytes, seconds: seconds.restore },
    totalSeconds: seconds?.total,
  });
}

function setOutputs(found: Found | undefined, report: RestoreReport | undefined): void {
  setOutput('cache-hit', String(found?.exact ?? false));
  setOutput('cache-matched-key', found?.key ?? '');
  setOutput('snapshot-digest', report?.digest ?? '');
  setOutput('volumes', JSON.stringify(report?.volumes ?? []));
  setOutput('restore-seconds', report?.seconds.total ?? '');
}
