import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { isAlive, place } from '../process-identity.ts';
import { orElse } from './file-errors.ts';

/**
 * Names of folders that are being filled or removed: `.tmp-<place>-<pid>-<random>`, or `.swap-` for a `Swap`. A
 * leading dot keeps them apart from snapshots; the rest tells others whether the one that made it still lives.
 */
const stagingName = /^\.(?<kind>tmp|swap)-(?<place>.+)-(?<pid>[1-9]\d*)-[0-9a-f]{16}$/;

/** Older than this, a folder of a process that we cannot look for is taken for a leftover. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** A path in `dir`, on the same file system, that nobody else uses. */
export function stagingPath(dir: string, kind: 'tmp' | 'swap' = 'tmp'): string {
  return join(dir, `.${kind}-${place()}-${process.pid}-${randomBytes(8).toString('hex')}`);
}

/** A new folder to fill and then to rename. */
export async function createStaging(dir: string): Promise<string> {
  const path = stagingPath(dir);
  // Not mkdtemp: it makes folders for one user, and renamed this is a snapshot, for whomever the umask allows.
  await mkdir(path);
  return path;
}

/**
 * A folder for a snapshot that is to take the place of another one, which is put aside in `asideDir` under its own
 * name meanwhile. As long as `freshDir` is there, the new one is not in place yet: what is aside is then still wanted.
 */
export interface Swap {
  readonly path: string;
  readonly freshDir: string;
  readonly asideDir: string;
}

export async function createSwap(dir: string): Promise<Swap> {
  const swap = swapAt(stagingPath(dir, 'swap'));
  for (const path of [swap.path, swap.freshDir, swap.asideDir]) await mkdir(path);
  return swap;
}

function swapAt(path: string): Swap {
  return { path, freshDir: join(path, 'new'), asideDir: join(path, 'old') };
}

/** Ends a swap in `dir`, wherever it stands: what is aside and still wanted is put back, the rest is removed. */
export async function settle({ path, freshDir, asideDir }: Swap, dir: string): Promise<void> {
  if (await exists(freshDir)) {
    for (const name of await orElse(readdir(asideDir), [], ['ENOENT'])) {
      // Somebody else has put it back, or has saved another one.
      const over = ['ENOENT', 'EEXIST', 'ENOTEMPTY'];
      await orElse(rename(join(asideDir, name), join(dir, name)), undefined, over);
    }
  }
  // Under a name from which nothing is ever put back: while it is being removed, it is no whole snapshot.
  const doomed = stagingPath(dir);
  await orElse(rename(path, doomed), undefined, ['ENOENT']);
  await discard(doomed);
}

async function exists(path: string): Promise<boolean> {
  return (await orElse(lstat(path), undefined, ['ENOENT'])) !== undefined;
}

/** Removes a folder as far as possible. What cannot be removed now is swept later, and is no reason to fail. */
export async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/**
 * Removes what killed processes have left in `dir`, and nothing that may still be in use. A snapshot that one of them
 * had put aside is put back.
 */
export async function sweep(dir: string): Promise<void> {
  const names = await readdir(dir).catch(() => []);
  const here = place();
  for (const name of names) {
    const maker = stagingName.exec(name)?.groups;
    if (maker === undefined) continue;
    const path = join(dir, name);
    const dead =
      maker.place === here
        ? !isAlive(Number(maker.pid))
        : (await lastChangeMs(path)) < (await nowIn(dir)) - abandonedAfterMs;
    if (!dead) continue;
    if (maker.kind === 'tmp') await discard(path);
    // What cannot be put back now may be later: it must not be lost.
    else await settle(swapAt(path), dir).catch(() => undefined);
  }
}

/** Of a folder, or of what is being written in it. */
async function lastChangeMs(path: string): Promise<number> {
  try {
    const names = await readdir(path, { recursive: true });
    const changes = await Promise.all(
      [path, ...names.map((name) => join(path, name))].map(mtimeMs),
    );
    return Math.max(...changes);
  } catch {
    return Infinity; // what has gone in the meantime needs no sweeping
  }
}

/** As what is in `dir` is dated: our own clock may have been set, or be another one than that of a file server. */
async function nowIn(dir: string): Promise<number> {
  try {
    const probe = await createStaging(dir);
    return await mtimeMs(probe).finally(() => discard(probe));
  } catch {
    return -Infinity; // where nothing can be made, nothing can be removed
  }
}

async function mtimeMs(path: string): Promise<number> {
  return (await stat(path)).mtimeMs;
}
