import * as core from '@actions/core';

import { formatBytes } from '../format.ts';
import type { SaveOutcome, StartReport } from '../usecases/report.ts';

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
  };
  for (const [name, value] of Object.entries(outputs)) core.setOutput(name, value ?? '');
}

/** One table in the job summary. A summary that cannot be written (no file, too long) is not worth a failed step. */
export async function writeSummary(report: StartReport): Promise<void> {
  const rows: [string, string][] = [
    ['Result', report.missReason === undefined ? 'hit' : `${report.outcome}: ${report.missReason}`],
    ['Key', report.key],
    ['Snapshot', report.snapshot ? formatBytes(report.snapshot.sizeBytes) : 'none'],
    ['Save', describeSave(report.save)],
    ...Object.entries(report.seconds).map(([phase, seconds]): [string, string] => [
      phase,
      `${seconds} s`,
    ]),
  ];
  try {
    await core.summary
      .addHeading(`Database ${report.name} (${report.image})`, 3)
      .addTable(rows.map(([name, value]) => [{ data: name, header: true }, escapeHtml(value)]))
      .write();
  } catch (error) {
    core.debug(`no job summary: ${String(error)}`);
  }
}

export function describeSave(save: SaveOutcome): string {
  if (save.kind === 'uploading') return 'uploading in the background';
  return 'reason' in save ? `${save.kind}: ${save.reason}` : save.kind;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
