import { formatBytes, formatRate } from '../format.ts';
import { describePath, isOnPath } from '../usecases/critical-path.ts';
import type { SaveOutcome, StartReport } from '../usecases/report.ts';
import { describeSavings } from '../usecases/savings.ts';
import { gantt } from './gantt.ts';
import type { JobSavings } from './job-savings.ts';
import { code, details, table } from './markup.ts';

const docs = 'https://github.com/snapvol/snapvol/blob/main/docs';
const pages: readonly (readonly [string, string])[] = [
  ['what these figures are', 'how-it-works.md#what-a-run-tells'],
  ['how the key is made', 'how-it-works.md#the-key'],
  ['why there was no hit', 'troubleshooting.md'],
  ['what makes it fast', 'performance.md'],
];

/** Of the step that started a database, as Markdown. Nothing in it that others wrote is more than text. */
export function startSummary(report: StartReport, job: JobSavings): string {
  const { keyParts, snapshot, phases, criticalPath } = report;
  const largest = snapshot?.largestTables ?? [];
  return blocks([
    `<h3>Database ${code(report.name)} of ${code(report.image)}</h3>`,
    table(startRows(report, job)),
    gantt(phases, criticalPath),
    details(
      'What the key is made of',
      table(keyParts.map(({ name, value }) => [code(name), code(value)])),
    ),
    largest.length === 0
      ? ''
      : details(
          'Largest tables',
          table(largest.map(({ name, bytes }) => [code(name), formatBytes(bytes)])),
        ),
    details(
      'Documentation',
      pages.map(([title, page]) => `<a href="${docs}/${page}">${title}</a>`).join('<br>\n'),
    ),
  ]);
}

function startRows(report: StartReport, job: JobSavings): (readonly [string, string])[] {
  const { outcome, missReason, snapshot, seconds, savings } = report;
  const rows: (readonly [string, string])[] = [
    ['Result', missReason === undefined ? outcome : `${outcome}: ${code(missReason)}`],
    ['Key', code(report.key)],
  ];
  if (outcome === 'base') rows.push(['Base', code(report.matchedKey ?? '')]);
  rows.push([
    'Snapshot',
    snapshot
      ? `${formatBytes(snapshot.sizeBytes)}, unpacked ${formatBytes(snapshot.unpackedBytes)}, in ${code(report.store)}`
      : 'none',
  ]);
  if (outcome === 'hit' && snapshot && seconds.restore !== undefined)
    rows.push(['Restore', describeCopy(snapshot.unpackedBytes, seconds.restore)]);
  rows.push(['Save', describeSave(report.save)], ['Time', describeTime(report)]);
  const saved = [
    savings ? describeSavings(savings) : '',
    job.databases > (savings ? 1 : 0)
      ? `in this job so far ${job.savedSeconds.toFixed(1)} s, over ${job.databases} ${job.databases === 1 ? 'restore' : 'restores'}`
      : '',
  ].filter((part) => part !== '');
  if (saved.length > 0) rows.push(['Savings', saved.join('; ')]);
  return rows;
}

function describeSave(save: SaveOutcome): string {
  if (save.kind === 'uploading') return 'uploading in the background';
  return 'reason' in save ? `${save.kind}: ${code(save.reason)}` : save.kind;
}

/** The critical path, and the phases that are not on it. */
function describeTime({ phases, criticalPath, seconds }: StartReport): string {
  const beside = phases
    .filter((phase) => !isOnPath(criticalPath, phase))
    .map(({ name, seconds: length }) => ({ name, shown: length.toFixed(1) }))
    .filter(({ shown }) => shown !== '0.0');
  const path = describePath(criticalPath, seconds.total);
  if (beside.length === 0) return path;
  return `${path}; beside it ${beside.map(({ name, shown }) => `${name} ${shown}`).join(', ')}`;
}

function describeCopy(bytes: number, seconds: number): string {
  return `${formatBytes(bytes)} in ${seconds.toFixed(1)} s, ${formatRate(bytes, seconds)}`;
}

/** What a sub-action did. What is absent did not happen. */
export interface VolumesStep {
  readonly title: keyof typeof copyTitles;
  /** In our own words. */
  readonly result: string;
  readonly reason?: string | undefined;
  readonly key: string;
  readonly snapshotBytes?: number | undefined;
  readonly volumes?: readonly { readonly name: string; readonly sizeBytes?: number }[];
  /** All that the volumes hold, and how long that took; of a save, stopping and starting again included. */
  readonly copy?: { readonly bytes: number; readonly seconds: number } | undefined;
  readonly totalSeconds?: number | undefined;
}

const copyTitles = {
  'Save a snapshot': 'Stop, copy, start',
  'Restore a snapshot': 'Copy',
} as const;

/** Of a step of save/ or restore/: one small table. */
export function volumesSummary(step: VolumesStep): string {
  const { title, result, reason, key, snapshotBytes, volumes = [], copy, totalSeconds } = step;
  return blocks([
    `<h3>${title}</h3>`,
    table([
      ['Result', reason === undefined ? result : `${result}: ${code(reason)}`],
      ['Key', code(key)],
      ...(snapshotBytes === undefined ? [] : [['Snapshot', formatBytes(snapshotBytes)] as const]),
      ...volumes.map(
        ({ name, sizeBytes }) =>
          [
            'Volume',
            sizeBytes === undefined ? code(name) : `${code(name)} ${formatBytes(sizeBytes)}`,
          ] as const,
      ),
      ...(copy ? [[copyTitles[title], describeCopy(copy.bytes, copy.seconds)] as const] : []),
      ...(totalSeconds === undefined ? [] : [['Time', `${totalSeconds.toFixed(1)} s`] as const]),
    ]),
  ]);
}

/** Markdown: an empty line ends a block of HTML. */
function blocks(all: readonly string[]): string {
  return `${all.filter((block) => block !== '').join('\n\n')}\n\n`;
}
