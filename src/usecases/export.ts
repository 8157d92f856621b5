import { join } from 'node:path';
import type { Writable } from 'node:stream';

import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { ArchiveOutput, OutputTarget, PlainFormat } from '../runtime/plain-archiver.ts';
import { verifyArchives } from '../snapshot/bundle.ts';
import type { DatabaseVolume, KeptVolume, Manifest } from '../snapshot/manifest.ts';
import type { ArchiveTools } from './context.ts';
import { loadBundle } from './search.ts';
import { findSnapshot, snapshotGone } from './stored.ts';

/** A file that is not named is named after the volume. */
export type ExportTarget =
  | { readonly kind: 'file'; readonly file: string | undefined; readonly replace: boolean }
  | { readonly kind: 'stream'; readonly stream: Writable };

export interface ExportRequest {
  /** Of the snapshot, or the beginning of it that no other key has. */
  readonly key: string;
  /** `undefined`: the only one that the snapshot has. */
  readonly volume: string | undefined;
  /** In front of every path, `.` for none; `undefined`: where the volume was mounted, as tar writes absolute paths. */
  readonly prefix: string | undefined;
  readonly output: ExportTarget;
  /** `undefined`: as the ending of the file says, else `tar.gz`. */
  readonly format: PlainFormat | undefined;
}

export interface ExportReport {
  readonly key: string;
  readonly store: string;
  readonly digest: string;
  readonly volume: string;
  /** `undefined` for the standard output. */
  readonly file: string | undefined;
  readonly format: PlainFormat;
  readonly prefix: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly seconds: { readonly total: number };
}

/**
 * Writes a volume of a snapshot as a plain tar archive. A file gets its name only when it is whole and every byte of it
 * was verified; a stream gets the first byte only when all of the snapshot's archive was.
 * @throws `snapshot-missing`, `snapshot-corrupt`; `name-taken` for a file that is there; `invalid-settings`,
 *   `copy-failed`
 */
export async function exportVolume(
  tools: ArchiveTools,
  request: ExportRequest,
  signal: AbortSignal,
): Promise<ExportReport> {
  const { store, log, clock, archiver } = tools;
  const startMs = clock.monotonicMs();
  if (request.prefix?.split('/').includes('..')) {
    throw new AppError(
      'invalid-settings',
      `"${request.prefix}" cannot be a prefix: it has ".." in it`,
    );
  }
  const found = await findSnapshot(store, request.key, signal);
  await using cleanups = new AsyncDisposableStack();
  const open = async (target: OutputTarget): Promise<ArchiveOutput> =>
    cleanups.use(await archiver.create(target));
  // Before the snapshot is loaded, which may take long.
  const given = targetOf(request.output);
  const early = given && (await open(given));
  const bundle = await loadBundle(tools, found, signal);
  if (!bundle) throw snapshotGone(found.key);
  const { manifest, dir, digest } = bundle;
  const volume = chosenVolume(manifest, request.volume);
  const format = request.format ?? formatOf(given);
  const prefix = request.prefix ?? (volume.mountPath?.replace(/^\/+/, '') || '.');
  const replace = request.output.kind === 'file' && request.output.replace;
  const output = early ?? (await open({ kind: 'file', file: `${volume.name}.${format}`, replace }));

  const written = await log.group(`Export ${manifest.key}`, async () => {
    // What a stream was given cannot be taken back.
    if (output.isShared) await verifyArchives({ dir, manifest: { volumes: [volume] } }, signal);
    const file = join(dir, volume.archive);
    const plain = await archiver.write(file, volume, prefix, format, output, signal);
    await output.finish();
    log.info(
      `volume ${volume.name}: ${formatBytes(volume.tarBytes)} -> ${formatBytes(plain.sizeBytes)}, ` +
        'sha256 verified',
    );
    return plain;
  });
  return {
    ...{ key: manifest.key, store: store.name, digest, volume: volume.name },
    file: given?.kind === 'stream' ? undefined : output.label,
    ...{ format, prefix, ...written },
    seconds: { total: secondsSince(clock, startMs) },
  };
}

/** `undefined` for a file whose name depends on the volume. */
function targetOf(output: ExportTarget): OutputTarget | undefined {
  if (output.kind === 'stream') return output;
  const { file, replace } = output;
  return file === undefined ? undefined : { kind: 'file', file, replace };
}

function chosenVolume(
  { key, volumes }: Manifest,
  name: string | undefined,
): DatabaseVolume | KeptVolume {
  const names = volumes.map((volume) => volume.name);
  const chosen =
    name === undefined && volumes.length === 1
      ? volumes[0]
      : volumes.find((volume) => volume.name === name);
  if (chosen) return chosen;
  throw new AppError(
    'invalid-settings',
    name === undefined
      ? `the snapshot ${key} has ${volumes.length} volumes: ${names.join(', ')}`
      : `the snapshot ${key} has no volume ${name}, only ${names.join(', ')}`,
    { hint: 'Say which one with --volume NAME' },
  );
}

function formatOf(target: OutputTarget | undefined): PlainFormat {
  const file = target?.kind === 'file' ? target.file : '';
  if (/\.tar$/i.test(file)) return 'tar';
  return /\.(tzst|zst|zstd)$/i.test(file) ? 'tar.zst' : 'tar.gz';
}
