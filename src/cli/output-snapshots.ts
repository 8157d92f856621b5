import { formatAge, formatBytes } from '../format.ts';
import { architectureOf, reasonsOf, writersOf } from '../snapshot/contents.ts';
import type { DatabaseManifest, Manifest, VolumeOrigin, Writer } from '../snapshot/manifest.ts';
import type { SnapshotDetails, SnapshotSummary } from '../usecases/stored.ts';
import type { VerifyAllReport, VerifyReport, Verdict } from '../usecases/verify.ts';
import type { View } from './output.ts';
import { align, table, type Row } from './table.ts';

export function listView(snapshots: readonly SnapshotSummary[]): View {
  const rows = snapshots.map((snapshot) => [
    snapshot.name ?? (snapshot.locked ? '(encrypted)' : '?'),
    snapshot.key,
    formatAge(snapshot.ageSeconds),
    formatBytes(snapshot.sizeBytes),
    snapshot.engine ?? '?',
    snapshot.image ?? '?',
    snapshot.architecture ?? '?',
    toSecond(snapshot.createdAt),
  ]);
  const heads = ['NAME', 'KEY', 'AGE', 'SIZE', 'ENGINE', 'IMAGE', 'ARCHITECTURE', 'CREATED'];
  const totalBytes = snapshots.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const total = `${counted(snapshots.length, 'snapshot')}, ${formatBytes(totalBytes)}`;
  return {
    text: rows.length === 0 ? total : `${table(heads, rows)}\n${total}`,
    json: { snapshots },
  };
}

export function inspectView(details: SnapshotDetails): View {
  const { key, store, digest, ageSeconds, sizeBytes, manifest } = details;
  const { name, createdAt, createdBy, volumes, keyParts, provenance } = manifest;
  const rows: Row[] = [
    ['name', name],
    ['key', key],
    ['store', store],
    ['digest', `sha256:${digest}`],
    ['created', `${toSecond(createdAt)}, ${formatAge(ageSeconds)} ago, by ${createdBy}`],
    ['holds', `${counted(volumes.length, 'volume')}, ${formatBytes(sizeBytes)} in archives`],
    ['made on', architectureOf(manifest) ?? 'an architecture that nobody knows'],
    ...writerRows(manifest),
    ...volumes.flatMap(volumeRows),
    ...keyParts.map(({ name, value }) => [`part ${name}`, value]),
    ...Object.entries(provenance).map(([name, value]) => [`from ${name}`, value]),
  ];
  return { text: align(rows), json: details };
}

function writerRows(manifest: Manifest): Row[] {
  if (manifest.kind === 'database') {
    return [...writersOf(manifest).flatMap((writer) => stateRows(writer, '')), loginRow(manifest)];
  }
  if (manifest.writers.length === 0) return [['written by', 'no container']];
  return manifest.writers.flatMap((writer) => [
    ['written by', `container ${writer.container}`],
    ...stateRows(writer, '  '),
  ]);
}

/** What a server is, and how it was left. */
function stateRows(writer: Omit<Writer, 'container'>, indent: string): Row[] {
  const { engine, dataVersion, image, consistency } = writer;
  const { method, exitCode, mark } = consistency;
  const state = [method, exitCode === null ? '' : `exit code ${exitCode}`, mark];
  const platform = `${image.os}/${image.architecture}`;
  return [
    [`${indent}engine`, `${engine} ${dataVersion ?? ''}`],
    [`${indent}image`, `${image.reference} (${platform}) ${image.digest ?? image.id}`],
    [`${indent}consistency`, state.filter((text) => text !== '').join(', ')],
  ];
}

function loginRow({ credentials: { user, database } }: DatabaseManifest): Row {
  return ['login', [user, database].filter((text) => text !== '').join(' @ ')];
}

function volumeRows(volume: Manifest['volumes'][number]): Row[] {
  const { name, mountPath, archive, archiveBytes, tarBytes, entries, sha256, notes, leftOut } =
    volume;
  const sizes = `${formatBytes(tarBytes)} in ${formatBytes(archiveBytes)}`;
  return [
    ['volume', name],
    ...('origin' in volume ? [['  came from', originText(volume.origin)]] : []),
    ['  mounted at', mountPath ?? 'nowhere'],
    ...('image' in volume && volume.image !== null ? [['  used by', volume.image]] : []),
    ['  archive', `${archive}, ${counted(entries, 'entry', 'entries')}, ${sizes}`],
    ['  sha256', sha256],
    ...notes.map((note) => ['  note', note]),
    ...(leftOut.length > 0 ? [['  left out', reasonsOf(leftOut)]] : []),
  ];
}

function originText(origin: VolumeOrigin): string {
  return origin.type === 'bind'
    ? `folder ${origin.folder}`
    : `volume ${origin.volume} (driver ${origin.driver})`;
}

export function verifyView(report: VerifyReport): View {
  const { key, archives, sizeBytes, seconds } = report;
  const what = counted(archives.length, 'archive');
  return {
    text: `${key} is whole: ${what}, ${formatBytes(sizeBytes)} read in ${seconds.total} s`,
    json: report,
  };
}

/** A document in any case: what is damaged shows in the exit code. */
export function verifyAllView({ store, snapshots, seconds }: VerifyAllReport): View {
  const read = snapshots.flatMap((each) => (each.state === 'whole' ? [each.sizeBytes] : []));
  const readBytes = read.reduce((sum, bytes) => sum + bytes, 0);
  const states = (['whole', 'damaged', 'unverified', 'gone'] as const).flatMap((state) => {
    const count = snapshots.filter((each) => each.state === state).length;
    return count > 0 ? [`${count} ${state}`] : [];
  });
  const total = `${states.join(', ') || 'no snapshots'}: ${formatBytes(readBytes)} read in ${seconds.total} s`;
  const rows = snapshots.map((each) => [each.state, each.key, verdictText(each)]);
  const codes = snapshots.flatMap((each) => ('problem' in each ? [each.problem.code] : []));
  const documents = snapshots.map((each) => ({ ...emptyVerdict, ...each }));
  return {
    text: rows.length === 0 ? total : `${align(rows)}\n${total}`,
    json: { store, snapshots: documents, seconds },
    failure: codes.find((code) => code === 'snapshot-corrupt') ?? codes[0],
  };
}

/** So that the keys of each document are the same. */
const emptyVerdict = {
  key: '',
  state: '',
  digest: null,
  sizeBytes: null,
  archives: [],
  problem: null,
};

function verdictText(verdict: Verdict): string {
  switch (verdict.state) {
    case 'whole':
      return formatBytes(verdict.sizeBytes);
    case 'gone':
      return 'removed by others in the meantime';
    case 'damaged':
    case 'unverified':
      return verdict.problem.message;
  }
}

export function removeView(removed: { readonly key: string; readonly store: string }): View {
  return { text: `removed ${removed.key} from ${removed.store}`, json: removed };
}

/** `2026-11-21T09:00:00Z` */
function toSecond(isoTime: string): string {
  return isoTime.replace(/\.\d+Z$/, 'Z');
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
