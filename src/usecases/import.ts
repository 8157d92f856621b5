import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { secondsSince } from '../clock.ts';
import { formatBytes } from '../format.ts';
import type { ArchiveSource, Strip, TakenArchive } from '../runtime/plain-archiver.ts';
import type { Compression } from '../runtime/volume-copier.ts';
import { bundleBytes, writeBundle } from '../snapshot/bundle.ts';
import { versionedKey } from '../snapshot/key.ts';
import { formatVersion, type KeptVolume } from '../snapshot/manifest.ts';
import { createdBy } from '../version.ts';
import type { ArchiveTools } from './context.ts';
import { requireKeyFree, storeBundle } from './destination.ts';
import { checkedChoices, snapshotName, type Choice } from './import-choices.ts';

/** A volume to be made of a folder of the archive. */
export interface VolumeChoice {
  /** `undefined`: made from the snapshot's name. */
  readonly volume: string | undefined;
  /** `undefined`: found in the archive. */
  readonly folder: string | undefined;
}

export interface ImportRequest {
  readonly from: { readonly file: string } | { readonly stream: Readable };
  /** `undefined`: made from the name and the time. */
  readonly key: string | undefined;
  /** `undefined`: that of the file, without its endings. */
  readonly name: string | undefined;
  /** Several only where each has a name and a folder. */
  readonly volumes: readonly [VolumeChoice, ...VolumeChoice[]];
  /** Where the volume was mounted, and in a container of which image: of a single volume, as far as known. */
  readonly mountPath: string | undefined;
  readonly image: string | undefined;
  readonly compression: Compression;
  readonly provenance: Readonly<Record<string, string>>;
}

export interface ImportReport {
  readonly key: string;
  readonly store: string;
  readonly name: string;
  readonly volumes: readonly ImportedVolume[];
  /** Entries of the archive that are in no volume. */
  readonly leftOut: number;
  readonly snapshot: { readonly digest: string; readonly sizeBytes: number };
  readonly seconds: { readonly total: number };
}

export interface ImportedVolume {
  readonly name: string;
  /** The folder of the archive that became its root; empty for the root of the archive. */
  readonly folder: string;
  readonly mountPath: string | null;
  readonly entries: number;
  readonly sizeBytes: number;
}

/** What was taken of one folder. */
interface Taken {
  readonly folder: string;
  readonly taken: number;
  readonly leftOut: number;
  readonly volume: KeptVolume;
}

/**
 * Makes a snapshot of a tar archive that anybody made of volumes. All or nothing.
 * @throws `name-taken` for a key that has a snapshot; `invalid-settings` for what is not there or cannot be;
 *   `copy-failed` for an archive that is damaged; `store-unavailable`
 */
export async function importArchive(
  tools: ArchiveTools,
  request: ImportRequest,
  signal: AbortSignal,
): Promise<ImportReport> {
  const { store, log, clock, archiver } = tools;
  const startMs = clock.monotonicMs();
  const createdAtMs = clock.now();
  const name = snapshotName(request);
  const key = request.key ?? versionedKey(name, createdAtMs);
  const choices = checkedChoices(request, key, name);
  const destination = { key, overwrite: false };
  await requireKeyFree(store, destination, signal);
  const source =
    'file' in request.from
      ? await archiver.open(request.from.file)
      : { label: 'the standard input', from: request.from.stream };

  const dir = join(tools.scratchDir, 'imported');
  await mkdir(dir);
  const taken = await log.group(`Import ${source.label}`, async () =>
    takeVolumes(
      tools,
      await rereadable(tools, source, choices, signal),
      choices,
      dir,
      request,
      signal,
    ),
  );
  const bundle = await writeBundle(dir, {
    ...{ format: formatVersion, kind: 'volumes', key, name, keyParts: [] },
    createdAt: new Date(createdAtMs).toISOString(),
    createdBy,
    architecture: null,
    writers: [],
    volumes: taken.map(({ volume }) => volume),
    provenance: { ...request.provenance },
  });
  await storeBundle(tools, destination, dir, signal);
  return {
    ...{ key, store: store.name, name },
    volumes: taken.map(({ folder, volume }) => ({
      ...{ name: volume.name, folder, mountPath: volume.mountPath, entries: volume.entries },
      sizeBytes: volume.tarBytes,
    })),
    leftOut: leftOutOf(taken),
    snapshot: { digest: bundle.digest, sizeBytes: await bundleBytes(bundle) },
    seconds: { total: secondsSince(clock, startMs) },
  };
}

/** What has to be read twice must be a file. */
async function rereadable(
  { archiver, scratchDir, log }: ArchiveTools,
  source: ArchiveSource,
  choices: readonly Choice[],
  signal: AbortSignal,
): Promise<ArchiveSource> {
  const isReadOnce = choices.length === 1 && choices[0]?.folder !== undefined;
  if (isReadOnce || typeof source.from === 'string') return source;
  log.debug(`${source.label} is kept in a scratch file: it is read several times`);
  return archiver.keep(source, join(scratchDir, 'archive'), signal);
}

async function takeVolumes(
  { archiver, log, clock }: ArchiveTools,
  source: ArchiveSource,
  choices: readonly Choice[],
  dir: string,
  request: ImportRequest,
  signal: AbortSignal,
): Promise<Taken[]> {
  const { compression } = request;
  const all: Taken[] = [];
  for (const choice of choices) {
    const { volume } = choice;
    const startMs = clock.monotonicMs();
    const archive = `${volume}.tar${compression.kind === 'zstd' ? '.zst' : ''}`;
    const strip = stripOf(choice, choices);
    const found = await archiver.take(source, strip, join(dir, archive), compression, signal);
    log.info(
      `volume ${volume}: ${found.entries} entries, ${formatBytes(found.tarBytes)} -> ` +
        `${formatBytes(found.archiveBytes)} in ${secondsSince(clock, startMs)} s`,
    );
    for (const line of remarks(choice, found, request)) log.info(`volume ${volume}: ${line}`);
    all.push({ ...found, volume: keptVolume(volume, archive, found, request) });
  }
  const leftOut = leftOutOf(all);
  if (leftOut > 0) log.info(`left out what is elsewhere in ${source.label}: ${leftOut} entries`);
  return all;
}

function stripOf({ folder }: Choice, choices: readonly Choice[]): Strip {
  if (folder === undefined) return { kind: 'auto' };
  const others = choices.flatMap((each) => (each.folder === folder ? [] : (each.folder ?? [])));
  return { kind: 'folder', folder, others };
}

function remarks({ folder }: Choice, found: TakenArchive, { mountPath }: ImportRequest): string[] {
  const stripped = found.folder === '' ? 'nothing' : found.folder;
  return [
    ...(folder === undefined
      ? [`${stripped} is stripped from the paths; --strip PREFIX or --strip none says otherwise`]
      : []),
    ...(mountPath === undefined && found.absolutePath !== undefined
      ? [`was mounted at ${found.absolutePath}, it seems; --mount-path says otherwise`]
      : []),
    ...found.notes,
  ];
}

function keptVolume(
  volume: string,
  archive: string,
  found: TakenArchive,
  { compression, mountPath, image }: ImportRequest,
): KeptVolume {
  const { archiveBytes, sha256, tarBytes, entries, features, notes } = found;
  return {
    ...{ name: volume, archive, compression: compression.kind },
    ...{ archiveBytes, sha256, tarBytes, entries, features, notes, leftOut: [] },
    origin: { type: 'volume', volume, driver: 'local', options: {}, labels: {} },
    mountPath: mountPath ?? found.absolutePath ?? null,
    image: image ?? null,
  };
}

/** Each entry is in at most one volume. */
function leftOutOf(all: readonly Taken[]): number {
  const [first] = all;
  if (!first) return 0;
  const total = first.taken + first.leftOut;
  return all.reduce((left, { taken }) => left - taken, total);
}
