import type { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { writersOf } from '../snapshot/contents.ts';
import type { DatabaseManifest, Writer } from '../snapshot/manifest.ts';
import type { ExportReport } from '../usecases/export.ts';
import type { ImportReport } from '../usecases/import.ts';
import type { Removed } from '../usecases/remove.ts';
import type { StartReport } from '../usecases/report.ts';
import type { RestoreReport } from '../usecases/restore.ts';
import type { SaveReport } from '../usecases/save.ts';
import type { SnapshotDetails, SnapshotSummary, VerifyReport } from '../usecases/stored.ts';

/** A result in both forms: for people and simple scripts, and for `--json`. */
export interface View {
  readonly text: string;
  readonly json: unknown;
}

/** One document. What has no value is `null`, so that the keys are always the same. */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (_, value: unknown) => (value === undefined ? null : value), 2);
}

/** @param redact takes secrets out of a text */
export function errorView(
  { code, message, hint, details }: AppError,
  redact: (text: string) => string,
): unknown {
  return {
    error: {
      code,
      message: redact(message),
      hint: hint === undefined ? undefined : redact(hint),
      details: details.map(redact),
    },
  };
}

/** The URL alone on stdout; the password is nowhere but in it. */
export function startView(report: StartReport): View {
  const { endpoint, ...rest } = report;
  const { host, port, user, database } = endpoint;
  return { text: report.url, json: { ...rest, host, port, user, database } };
}

/** What to do with it now; for the log. */
export function startLines(report: StartReport): string[] {
  const { name, endpoint, container, outcome, seconds, save } = report;
  const { host, port, user, database } = endpoint;
  const how = {
    hit: `restored from ${report.key}`,
    base: `restored from ${report.matchedKey ?? 'a base snapshot'} and seeded`,
    miss: 'seeded',
  }[outcome];
  const saved = {
    saved: `, saved as ${report.key}`,
    'already-there': ', not saved: another run has saved this key',
    skipped: outcome === 'hit' ? '' : ', not saved',
    failed: ', not saved',
  }[save.kind];
  const login = `${user === '' ? '' : `, user ${user}`}${database === '' ? '' : `, database ${database}`}`;
  return [
    `${name}: ${how}${saved}, in ${seconds.total ?? 0} s`,
    `  serves at ${host}:${port}${login}`,
    `  look inside: docker exec -it ${container.slice(0, 12)} sh`,
    `  remove it:   snapvol stop ${name}`,
  ];
}

export function stopView(name: string, { containers, volumes }: Removed): View {
  const lines = [
    ...containers.map((container) => `removed container ${container}`),
    ...volumes.map((volume) => `removed volume ${volume}`),
  ];
  return { text: lines.join('\n'), json: { name, containers, volumes } };
}

export function saveView(report: SaveReport): View {
  const { key, snapshot, store, seconds } = report;
  return {
    text: `saved ${key} to ${store}: ${formatBytes(snapshot.sizeBytes)} in ${seconds.total} s`,
    json: report,
  };
}

export function restoreView(report: RestoreReport): View {
  const rows = report.volumes.map(({ name, volume, mountPath, sizeBytes }) => [
    volume,
    name,
    formatBytes(sizeBytes),
    mountPath,
  ]);
  return { text: table(['VOLUME', 'HOLDS', 'SIZE', 'WAS MOUNTED AT'], rows), json: report };
}

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

export function listView(snapshots: readonly SnapshotSummary[]): View {
  const rows = snapshots.map(({ key, createdAt, sizeBytes, engine, image, architecture }) => [
    key,
    createdAt.replace(/\.\d+Z$/, 'Z'),
    formatBytes(sizeBytes),
    engine ?? '?',
    image ?? '?',
    architecture ?? '?',
  ]);
  return {
    text: table(['KEY', 'CREATED', 'SIZE', 'ENGINE', 'IMAGE', 'ARCHITECTURE'], rows),
    json: { snapshots },
  };
}

export function inspectView(details: SnapshotDetails): View {
  const { key, store, digest, sizeBytes, manifest } = details;
  const rows = [
    ['key', key],
    ['store', store],
    ['digest', `sha256:${digest}`],
    ['created', `${manifest.createdAt} by ${manifest.createdBy}`],
    ['name', manifest.name],
    ...writersOf(manifest).flatMap(writerRows),
    ...(manifest.kind === 'database' ? [['login', login(manifest.credentials)]] : []),
    ['size', formatBytes(sizeBytes)],
    ...manifest.volumes.map(({ name, mountPath, archiveBytes, tarBytes, entries, sha256 }) => [
      `volume ${name}`,
      `${mountPath ?? '-'}, ${entries} entries, ${formatBytes(tarBytes)} in ${formatBytes(archiveBytes)}, sha256:${sha256}`,
    ]),
    ...manifest.keyParts.map(({ name, value }) => [`part ${name}`, value]),
    ...Object.entries(manifest.provenance).map(([name, value]) => [`from ${name}`, value]),
  ];
  return { text: align(rows), json: details };
}

function writerRows({ engine, dataVersion, image, consistency }: Omit<Writer, 'container'>) {
  const { method, exitCode, mark } = consistency;
  return [
    ['engine', `${engine}${dataVersion === null ? '' : ` ${dataVersion}`}`],
    ['image', `${image.reference} (${image.os}/${image.architecture}) ${image.digest ?? image.id}`],
    ['consistency', `${method}, exit code ${exitCode}, ${mark}`],
  ];
}

function login({ user, database }: DatabaseManifest['credentials']): string {
  return [user, database].filter((text) => text !== '').join(' @ ');
}

export function verifyView(report: VerifyReport): View {
  const { key, archives, sizeBytes, seconds } = report;
  const what = archives.length === 1 ? '1 archive' : `${archives.length} archives`;
  return {
    text: `${key} is whole: ${what}, ${formatBytes(sizeBytes)} read in ${seconds.total} s`,
    json: report,
  };
}

export function removeView(removed: { readonly key: string; readonly store: string }): View {
  return { text: `removed ${removed.key} from ${removed.store}`, json: removed };
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  return align([heads, ...rows]);
}

/** Columns as wide as their widest cell, the last one as it is. */
function align(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(cell.length, widest[i] ?? 0)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
