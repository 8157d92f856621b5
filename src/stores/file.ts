import { lstat, readdir, readFile, rename, rm, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { systemClock, type Clock } from '../clock.ts';
import { AppError, systemCodeOf } from '../errors.ts';
import { makeFolder } from '../paths.ts';
import { scratchIsFull } from '../scratch.ts';
import { haveManifest, manifestLimitBytes } from '../snapshot/manifest.ts';
import { copyDurably, linkOrCopy, syncFolder } from './file-copy.ts';
import { orElse, translated } from './file-errors.ts';
import { filesOf, identityOf, isSnapshot, measure, readKey, writeKey } from './file-folder.ts';
import { folderName, isAbridged, keyOf } from './file-key.ts';
import { publish, publishOver } from './file-publish.ts';
import { createStaging, createSwap, discard, settle, stagingPath, sweep } from './file-staging.ts';
import type { Entry, Found, ListableStore, Lookup, ReplaceableStore } from './store.ts';

/** Of what is read at once: a manifest, perhaps encrypted, or SHA256SUMS. */
const smallFileLimitBytes = 2 * manifestLimitBytes;

export type FolderStore = ListableStore & ReplaceableStore;

/**
 * Snapshots in a folder: `DIR/<encoded key>/` is the bundle as it is, to be opened by hand. Its modification time is
 * when it was saved. Anything else in DIR is left alone.
 *
 * Several processes and hosts may use one folder. A snapshot is filled under another name and renamed when it is whole
 * and on disk, which the system does for one of them only; files are read-only and never change, so that `load` can
 * hand out hard links: do not write to what it gives.
 */
export function createFileStore(dir: string, clock: Pick<Clock, 'now'> = systemClock): FolderStore {
  return new FileStore(resolve(dir), clock);
}

class FileStore implements FolderStore {
  readonly name: string;
  readonly #dir: string;
  readonly #clock: Pick<Clock, 'now'>;

  constructor(dir: string, clock: Pick<Clock, 'now'>) {
    this.name = `file:${dir}`;
    this.#dir = dir;
    this.#clock = clock;
  }

  find({ primary, prefixes }: Lookup, signal: AbortSignal): Promise<Found | undefined> {
    return translated(`look for ${primary} in ${this.name}`, signal, async () => {
      // The names first: whatever is wrong with DIR itself shows here, and is not taken for an absent snapshot.
      const names = await this.#names();
      if (await isSnapshot(this.#folder(primary))) return { key: primary, exact: true };
      for (const prefix of prefixes) {
        const matches = await this.#entries(names, (key) => key.startsWith(prefix), signal);
        if (matches[0]) return { key: matches[0].key, exact: false };
      }
      return undefined;
    });
  }

  load({ key }: Found, bundleDir: string, signal: AbortSignal): Promise<boolean> {
    const task = `load ${key} from ${this.name} into ${bundleDir}`;
    return translated(
      task,
      signal,
      async () => {
        if ((await readdir(bundleDir)).length > 0) {
          throw new AppError('internal', `${bundleDir} must be empty to load a snapshot into it`);
        }
        let whole = false;
        try {
          whole = await loadFolder(this.#folder(key), bundleDir, signal);
        } finally {
          if (!whole) await empty(bundleDir);
        }
        return whole;
      },
      scratchIsFull,
    );
  }

  save(key: string, bundleDir: string, signal: AbortSignal): Promise<'saved' | 'already-there'> {
    return translated(`save ${key} to ${this.name}`, signal, async () => {
      const name = folderName(key);
      const folder = join(this.#dir, name);
      await sweep(this.#dir);
      if (await isSnapshot(folder)) return 'already-there';
      await makeFolder(this.#dir);
      const staging = await createStaging(this.#dir);
      try {
        await this.#fill(staging, name, key, bundleDir, signal);
        if (!(await publish(staging, folder))) return 'already-there';
      } finally {
        await discard(staging);
      }
      await syncFolder(this.#dir);
      return 'saved';
    });
  }

  replace(key: string, bundleDir: string, signal: AbortSignal): Promise<void> {
    return translated(`replace ${key} in ${this.name}`, signal, async () => {
      const name = folderName(key);
      await sweep(this.#dir);
      await makeFolder(this.#dir);
      const swap = await createSwap(this.#dir);
      try {
        await this.#fill(swap.freshDir, name, key, bundleDir, signal);
        await publishOver(swap, join(this.#dir, name));
        await syncFolder(this.#dir);
      } finally {
        await settle(swap, this.#dir);
      }
    });
  }

  list(signal: AbortSignal): Promise<readonly Entry[]> {
    return translated(`list ${this.name}`, signal, async () =>
      this.#entries(await this.#names(), () => true, signal),
    );
  }

  readFile(key: string, fileName: string, signal: AbortSignal): Promise<Buffer | undefined> {
    return translated(`read ${fileName} of ${key} in ${this.name}`, signal, async () => {
      const folder = this.#folder(key);
      // A name that leads elsewhere is not the name of a file in there.
      if (!(await filesOf(folder)).includes(fileName)) return undefined;
      const file = join(folder, fileName);
      const { size } = (await orElse(lstat(file), undefined, ['ENOENT'])) ?? { size: 0 };
      if (size > smallFileLimitBytes) {
        throw new AppError(
          'snapshot-corrupt',
          `${fileName} of ${key} has ${size} bytes, which is too large for what describes a snapshot`,
        );
      }
      return orElse(readFile(file, { signal }), undefined, ['ENOENT']);
    });
  }

  remove(key: string, signal: AbortSignal): Promise<boolean> {
    return translated(`remove ${key} from ${this.name}`, signal, async () => {
      const folder = this.#folder(key);
      await sweep(this.#dir); // or what is aside would come back later
      if (!(await isSnapshot(folder))) return false;
      // Away at once for everybody, then file by file.
      const staging = stagingPath(this.#dir);
      const moved = rename(folder, staging).then(() => true);
      if (!(await orElse(moved, false, ['ENOENT']))) return false;
      await rm(staging, { recursive: true, force: true });
      return true;
    });
  }

  /** Fills a folder, so that it only has to be renamed to `name`. */
  async #fill(
    folder: string,
    name: string,
    key: string,
    bundleDir: string,
    signal: AbortSignal,
  ): Promise<void> {
    await fillFolder(folder, bundleDir, signal);
    if (isAbridged(name)) await writeKey(folder, key);
    const now = new Date(this.#clock.now());
    await utimes(folder, now, now);
    await syncFolder(folder);
    signal.throwIfAborted();
  }

  #folder(key: string): string {
    return join(this.#dir, folderName(key));
  }

  #names(): Promise<string[]> {
    return orElse(readdir(this.#dir), [], ['ENOENT']);
  }

  /** The snapshots among `names` that are wanted, newest first. */
  async #entries(
    names: readonly string[],
    wanted: (key: string) => boolean,
    signal: AbortSignal,
  ): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const name of names) {
      signal.throwIfAborted();
      const folder = join(this.#dir, name);
      const key = keyOf(name, isAbridged(name) ? await readKey(folder) : undefined);
      if (key === undefined || !wanted(key)) continue;
      // Gone in this moment, or not for this user to read: no snapshot for us.
      const measured = await orElse(measure(folder), undefined, ['ENOENT', 'EACCES']);
      if (measured) entries.push({ key, ...measured });
    }
    return entries.sort((a, b) => b.createdAtMs - a.createdAtMs);
  }
}

/** `false` when the snapshot has gone before all of it was there. */
async function loadFolder(
  folder: string,
  bundleDir: string,
  signal: AbortSignal,
): Promise<boolean> {
  const identity = await identityOf(folder);
  if (identity === undefined) return false;
  try {
    for (const name of await filesOf(folder)) {
      signal.throwIfAborted();
      await linkOrCopy(join(folder, name), join(bundleDir, name), signal);
    }
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT' || identity === (await identityOf(folder))) throw error;
    return false;
  }
  // Removed while we were at it, and perhaps saved anew: then what we have may be half of either.
  return identity === (await identityOf(folder));
}

async function fillFolder(folder: string, bundleDir: string, signal: AbortSignal): Promise<void> {
  const names = await filesOf(bundleDir);
  if (!haveManifest(names) || names.length !== (await readdir(bundleDir)).length) {
    throw new AppError('internal', `${bundleDir} is not a bundle: files and a manifest, no more`);
  }
  for (const name of names) {
    signal.throwIfAborted();
    await copyDurably(join(bundleDir, name), join(folder, name), signal);
  }
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { force: true });
}
