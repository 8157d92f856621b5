import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { isAlive, place } from '../process-identity.ts';

/**
 * Names of folders that are being filled or removed: `.tmp-<place>-<pid>-<random>`. A leading dot keeps them apart
 * from snapshots; the rest tells others whether the one that made it still lives.
 */
const stagingName = /^\.tmp-(?<place>.+)-(?<pid>[1-9]\d*)-[0-9a-f]{16}$/;

/** Older than this, a folder of a process that we cannot look for is taken for a leftover. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** A path in `dir`, on the same file system, that nobody else uses. */
export function stagingPath(dir: string): string {
  return join(dir, `.tmp-${place()}-${process.pid}-${randomBytes(8).toString('hex')}`);
}

/** A new folder to fill and then to rename. */
export async function createStaging(dir: string): Promise<string> {
  const path = stagingPath(dir);
  // Not mkdtemp: it makes folders for one user, and renamed this is a snapshot, for whomever the umask allows.
  await mkdir(path);
  return path;
}

/** Removes a folder as far as possible. What cannot be removed now is swept later, and is no reason to fail. */
export async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** Removes what killed processes have left in `dir`, and nothing that may still be in use. */
export async function sweep(dir: string, nowMs: number): Promise<void> {
  const names = await readdir(dir).catch(() => []);
  const here = place();
  for (const name of names) {
    const maker = stagingName.exec(name)?.groups;
    if (maker === undefined) continue;
    const path = join(dir, name);
    const dead =
      maker.place === here
        ? !isAlive(Number(maker.pid))
        : (await lastChangeMs(path)) < nowMs - abandonedAfterMs;
    if (dead) await discard(path);
  }
}

function lastChangeMs(path: string): Promise<number> {
  // What has gone in the meantime needs no sweeping.
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Infinity,
  );
}
