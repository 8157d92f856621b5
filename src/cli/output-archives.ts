import { formatBytes } from '../format.ts';
import type { ExportReport } from '../usecases/export.ts';
import type { ImportReport } from '../usecases/import.ts';
import type { View } from './output.ts';

export function importView(report: ImportReport): View {
  const { key, volumes, snapshot, store, seconds } = report;
  const names = volumes.map(({ name }) => name).join(', ');
  return {
    text: `imported ${names} as ${key} to ${store}: ${formatBytes(snapshot.sizeBytes)} in ${seconds.total} s`,
    json: report,
  };
}

/** Nothing where stdout is the archive. */
export function exportView(report: ExportReport): View {
  const { file, volume, key, sizeBytes, seconds } = report;
  const text = `exported ${volume} of ${key} to ${file ?? ''}: ${formatBytes(sizeBytes)} in ${seconds.total} s`;
  return { text: file === undefined ? '' : text, json: report };
}
