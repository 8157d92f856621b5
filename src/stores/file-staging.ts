import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { systemCodeOf } from '../errors.ts';

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

/**
 * Where process ids mean the same as here. A host's name is not enough: containers on the network of their host share
 * it but not the processes, and after a restart every id can be another process. Linux has a name for both.
 */
function place(): string {
  const host = hostname().replaceAll(/[^A-Za-z0-9.]/g, '_');
  return `${host.slice(0, 64)}-${processSpace()}`;
}

function processSpace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const namespace = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${boot}${namespace}`).digest('hex').slice(0, 8);
  } catch {
    return 'any';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return systemCodeOf(error) !== 'ESRCH';
  }
}

function lastChangeMs(path: string): Promise<number> {
  // What has gone in the meantime needs no sweeping.
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Infinity,
  );
}
