import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { AppError, messageOf, systemCodeOf, systemError, toAppError } from '../errors.ts';
import { decodeManifest, encodeManifest } from './manifest-json.ts';
import {
  manifestFileName,
  manifestLimitBytes,
  sumsFileName,
  type Manifest,
  type ManifestArchive,
} from './manifest.ts';

/** A bundle whose manifest was read and is whole. Archives are not verified by this. */
export interface Bundle<M extends Manifest = Manifest> {
  readonly dir: string;
  readonly manifest: M;
  /** sha256 of `manifest.json`, which holds the sha256 of every archive: it stands for the whole snapshot. */
  readonly digest: string;
}

/** Completes a folder that holds the archives: writes `manifest.json` and SHA256SUMS. */
export async function writeBundle<M extends Manifest>(
  dir: string,
  manifest: M,
): Promise<Bundle<M>> {
  const text = encodeManifest(manifest);
  const digest = sha256(text);
  await write(join(dir, manifestFileName), text);
  await write(join(dir, sumsFileName), sumsOf(manifest, digest));
  return { dir, manifest, digest };
}

/** @throws `copy-failed` */
async function write(path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((error: unknown) => {
    const refused = systemError(error, `write ${path}`) ?? toAppError(error);
    throw new AppError('copy-failed', refused.message, {
      cause: error,
      ...(refused.hint !== undefined && { hint: refused.hint }),
    });
  });
}

function sumsOf({ volumes }: Manifest, digest: string): string {
  const sums = volumes.map((volume) => `${volume.sha256}  ${volume.archive}\n`);
  return [`${digest}  ${manifestFileName}\n`, ...sums].join('');
}

/**
 * Reads the manifest of a bundle and checks it against SHA256SUMS, and that the archives are there with their sizes, and
 * nothing else.
 * @throws `snapshot-corrupt`, `snapshot-incompatible`
 */
export async function openBundle(dir: string): Promise<Bundle> {
  const text = await readSmall(dir, manifestFileName);
  const sums = await readSmall(dir, sumsFileName);
  const digest = sha256(text);
  if (!sums.split('\n').includes(`${digest}  ${manifestFileName}`)) {
    throw new AppError(
      'snapshot-corrupt',
      `${manifestFileName} is damaged: its sha256 is not the one in ${sumsFileName}`,
    );
  }
  const manifest = decodeManifest(text);
  // Or who checks a bundle by hand would refuse what we use.
  if (sums !== sumsOf(manifest, digest)) {
    throw new AppError(
      'snapshot-corrupt',
      `${sumsFileName} is damaged: it does not list just what ${manifestFileName} does`,
    );
  }
  await requireNoMore(dir, manifest);
  for (const volume of manifest.volumes) {
    const size = await sizeOf(join(dir, volume.archive));
    if (size !== volume.archiveBytes) {
      throw new AppError(
        'snapshot-corrupt',
        `${volume.archive} has ${size ?? 'no'} bytes, the manifest says ${volume.archiveBytes}`,
      );
    }
  }
  return { dir, manifest, digest };
}

/**
 * Reads every byte.
 * @param onRead is told how many more bytes were read, often
 * @throws `snapshot-corrupt` naming the first archive that is not what the manifest says, or that the disk cannot read;
 *   `store-unavailable` for one that may not be read
 */
export async function verifyArchives(
  bundle: Pick<Bundle, 'dir'> & {
    readonly manifest: { readonly volumes: readonly ManifestArchive[] };
  },
  signal: AbortSignal,
  onRead: (bytes: number) => void = () => undefined,
): Promise<void> {
  for (const volume of bundle.manifest.volumes) {
    const actual = await reading(volume.archive, () =>
      hashFile(join(bundle.dir, volume.archive), signal, onRead),
    );
    if (actual !== volume.sha256) {
      throw new AppError(
        'snapshot-corrupt',
        `${volume.archive} is damaged: sha256 is ${actual}, the manifest says ${volume.sha256}`,
      );
    }
  }
}

/** Bytes of all files of a bundle. */
export async function bundleBytes(bundle: Bundle): Promise<number> {
  const files = [
    manifestFileName,
    sumsFileName,
    ...bundle.manifest.volumes.map((volume) => volume.archive),
  ];
  const sizes = await Promise.all(files.map((file) => sizeOf(join(bundle.dir, file))));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

async function requireNoMore(dir: string, { volumes }: Manifest): Promise<void> {
  const named = new Set([manifestFileName, sumsFileName, ...volumes.map((each) => each.archive)]);
  const more = (await readdir(dir)).find((name) => !named.has(name));
  if (more === undefined) return;
  throw new AppError(
    'snapshot-corrupt',
    `the bundle has the file ${JSON.stringify(more)}, which its manifest does not name`,
  );
}

/** A text of a bundle. @throws `snapshot-corrupt` where there is none, or one that is too large */
export async function readSmall(dir: string, name: string): Promise<string> {
  const size = await sizeOf(join(dir, name));
  if (size === undefined) throw new AppError('snapshot-corrupt', `the bundle has no ${name}`);
  if (size > manifestLimitBytes) {
    throw new AppError(
      'snapshot-corrupt',
      `${name} has ${size} bytes, which is too large to be one`,
    );
  }
  return reading(name, () => readFile(join(dir, name), 'utf8'));
}

/** sha256 of a whole file. `onRead` is told how many more bytes were read, often. */
export async function hashFile(
  path: string,
  signal: AbortSignal,
  onRead: (bytes: number) => void = () => undefined,
): Promise<string> {
  const hash = createHash('sha256');
  // A cast: a stream without an encoding gives buffers.
  const stream = createReadStream(path, { signal, highWaterMark: 1024 * 1024 });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    onRead(chunk.length);
  }
  return hash.digest('hex');
}

/** What the system says against reading a file of a bundle. A disk that fails (EIO) has lost what was there. */
async function reading<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === undefined || code === 'ABORT_ERR') throw error;
    throw new AppError(
      code === 'EIO' ? 'snapshot-corrupt' : 'store-unavailable',
      `${name} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  return lstat(file).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
