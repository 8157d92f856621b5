import type { AppError, ErrorCode } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Removed } from '../usecases/remove.ts';
import type { CloneReport } from '../usecases/clone.ts';
import type { ClonedDatabase, StartReport } from '../usecases/report.ts';
import { describeSavings } from '../usecases/savings.ts';
import type { RecoverReport } from '../usecases/recover.ts';
import type { SaveVolumesReport } from '../usecases/save-volumes.ts';
import type { ResetReport } from '../usecases/reset.ts';
import type { RestoreReport } from '../usecases/restore.ts';
import type { SaveReport } from '../usecases/save.ts';
import { table } from './table.ts';

/** A result in both forms: for people and simple scripts, and for `--json`. */
export interface View {
  readonly text: string;
  readonly json: unknown;
  /** What the process ends with, where the work was done and something of it failed. */
  readonly failure?: ErrorCode | undefined;
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

/** URLs alone on stdout; the password is nowhere but in them. */
export function startView(report: StartReport): View {
  const { endpoint, clones, ...rest } = report;
  const { host, port, user, database } = endpoint;
  return {
    text: [report, ...clones].map(({ url }) => url).join('\n'),
    json: { ...rest, host, port, user, database, clones: clones.map(cloneJson) },
  };
}

function cloneJson({ endpoint: { host, port }, ...rest }: ClonedDatabase): unknown {
  return { ...rest, host, port };
}

export function cloneView(report: CloneReport): View {
  return {
    text: report.clones.map(({ url }) => url).join('\n'),
    json: { ...report, clones: report.clones.map(cloneJson) },
  };
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
    uploading: ', being saved',
    skipped: outcome === 'hit' ? '' : ', not saved',
    failed: ', not saved',
  }[save.kind];
  const spared = report.savings ? `, ${describeSavings(report.savings)}` : '';
  const login = `${user === '' ? '' : `, user ${user}`}${database === '' ? '' : `, database ${database}`}`;
  return [
    `${name}: ${how}${saved}, in ${seconds.total} s${spared}`,
    `  serves at ${host}:${port}${login}`,
    `  look inside: docker exec -it ${container.slice(0, 12)} sh`,
    `  remove it:   snapvol stop ${name}`,
  ];
}

export function resetView(report: ResetReport): View {
  const { name, seconds } = report;
  return { text: `${name} is as it was when it was started, after ${seconds} s`, json: report };
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

export function saveVolumesView(report: SaveVolumesReport): View {
  const { key, store, volumes, changedPorts, snapshot, seconds } = report;
  const count = volumes.length === 1 ? '1 volume' : `${volumes.length} volumes`;
  const lines = [
    `saved ${key} to ${store}: ${count}, ${formatBytes(snapshot.sizeBytes)} in ${seconds.total} s`,
    ...changedPorts.map(
      ({ container, port, before, after }) => `port ${port} of ${container}: ${before} -> ${after}`,
    ),
  ];
  return { text: lines.join('\n'), json: report };
}

export function recoverView(report: RecoverReport): View {
  const lines = [
    ...report.repaired.map((line) => `repaired: ${line}`),
    ...report.left.map((line) => `left alone: ${line} (--force takes it, too)`),
    ...report.failed.map((line) => `could not be repaired: ${line}`),
  ];
  return { text: lines.join('\n') || 'nothing to repair', json: report };
}

export function restoreView(report: RestoreReport): View {
  const rows = report.volumes.map(({ name, volume, mountPath, sizeBytes }) => [
    volume,
    name,
    formatBytes(sizeBytes),
    mountPath ?? '?',
  ]);
  return { text: table(['VOLUME', 'HOLDS', 'SIZE', 'WAS MOUNTED AT'], rows), json: report };
}
