import * as core from '@actions/core';

import { AppError, messageOf } from '../errors.ts';
import type { StartReport } from '../usecases/report.ts';

/** Sets every output; one that has no value is empty, never absent. */
export function setOutputs(report: StartReport): void {
  const outputs: Record<string, string | number | undefined> = {
    'cache-hit': String(report.outcome === 'hit'),
    'cache-primary-key': report.key,
    'cache-matched-key': report.matchedKey,
    'miss-reason': report.missReason,
    host: report.endpoint.host,
    port: report.endpoint.port,
    url: report.url,
    user: report.endpoint.user,
    database: report.endpoint.database,
    container: report.container,
    volume: report.volume,
    'snapshot-digest': report.snapshot?.digest,
    'snapshot-size': report.snapshot?.sizeBytes,
    'restore-seconds': report.seconds.restore,
    'seed-seconds': report.seconds.seed,
    urls: JSON.stringify(report.clones.map(({ url }) => url)),
    'port-1': undefined,
    ...Object.fromEntries(
      report.clones.map(({ endpoint }, at) => [`port-${at + 1}`, endpoint.port]),
    ),
  };
  for (const [name, value] of Object.entries(outputs)) setOutput(name, value ?? '');
}

/** @throws `system-error` where the runner's file for outputs cannot be written */
export function setOutput(name: string, value: unknown): void {
  try {
    core.setOutput(name, value);
  } catch (error) {
    throw runnerFileError(`set the output "${name}"`, 'GITHUB_OUTPUT', error);
  }
}

/** Of a file that the runner names in a variable. Its client has no code for one that is not there. */
export function runnerFileError(what: string, variable: string, cause: unknown): AppError {
  return new AppError('system-error', `could not ${what}: ${messageOf(cause)}`, {
    cause,
    hint: `Look at the file that ${variable} names, and at what has changed it: the runner makes it for each step`,
  });
}

/**
 * Adds to the job summary. One that cannot be made or written (no file, a full disk) is not worth a failed step.
 * @param make as Markdown
 */
export async function writeSummary(make: () => string | Promise<string>): Promise<void> {
  try {
    await core.summary.addRaw(await make()).write();
  } catch (error) {
    core.debug(`no job summary: ${String(error)}`);
  }
}
