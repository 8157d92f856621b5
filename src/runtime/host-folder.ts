import type { BigIntStats } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { platform } from 'node:os';
import { join } from 'node:path';

import { AppError, systemCodeOf } from '../errors.ts';
import { withIdleContainer } from './idle-container.ts';
import { helperName } from './labels.ts';
import type { ContainerRuntime, PathStat } from './runtime.ts';
import type { CopyTarget } from './volume-copier.ts';

/** How many entries are compared in each of so many folders, one in the other: those that were changed last. */
const entriesCompared = 4;
const foldersCompared = 3;
/** Of a folder with more entries, others are not looked at. */
const entriesLookedAt = 1000;

/**
 * That the engine has the very folder that this machine has at this path. A socket tells nothing of it: jobs in
 * containers are given that of an engine which has other folders. Nothing is written: a container, never started, has
 * the folder mounted, and what the engine says of it is compared with what is here.
 * @param target of a bind mount; what its image holds does not matter
 * @throws `invalid-settings` when it has another one, or none
 */
export async function requireShared(
  runtime: ContainerRuntime,
  { storage: { source }, image, labels }: CopyTarget,
  signal: AbortSignal,
): Promise<void> {
  const mounts = [{ type: 'bind', source, target: '/folder', readOnly: true }] as const;
  const spec = { name: helperName(source, 'compare'), image, labels, mounts };
  let isShared: boolean;
  try {
    isShared = await withIdleContainer(runtime, spec, (id) =>
      isSame(source, (path) => runtime.stat(id, `/folder/${path}`, signal)),
    );
  } catch (error) {
    // A code of its own (no engine) has another reason.
    if (!(error instanceof AppError) || !/^(engine-refused|volume-missing)$/.test(error.code))
      throw error;
    throw notShared(source, error);
  }
  if (!isShared) throw notShared(source);
}

/**
 * As {@link requireShared}, for certain: `made` is what the engine has put into the folder. What this user may not look
 * at counts as there.
 */
export async function requireSeen(folder: string, made: string): Promise<void> {
  const code = await lstat(join(folder, made)).then(() => undefined, systemCodeOf);
  if (code === 'ENOENT') throw notShared(folder);
}

function notShared(folder: string, cause?: AppError): AppError {
  return new AppError(
    'invalid-settings',
    `the engine does not see the folder ${folder} of this machine: it runs in another container or machine`,
    {
      ...(cause && { cause, details: [cause.message, ...cause.details] }),
      hint: 'Use a volume, or mount the folder at the same path where the engine runs',
    },
  );
}

/** Compares a folder of this machine with what `seenAt` tells of it, by paths below it. */
async function isSame(
  folder: string,
  seenAt: (path: string) => Promise<PathStat | undefined>,
): Promise<boolean> {
  for await (const path of pathsToCompare(folder)) {
    const before = await lookAt(folder, path);
    const seen = await seenAt(path);
    const after = await lookAt(folder, path);
    // Gone, or replaced by something else, in the meantime.
    if (!before || !after || typeOf(before) !== typeOf(after)) continue;
    if (seen?.type !== typeOf(before)) return false;
    // Others may be changing it. Where the engine is in a virtual machine, file sharing rounds and remembers times.
    const isAsOld = before.mtimeNs <= seen.modifiedNs && seen.modifiedNs <= after.mtimeNs;
    if (platform() === 'linux' && !isAsOld) return false;
  }
  return true;
}

/** The folder itself, then what was changed last: a copy of a folder may be as old as that one, but not all that is in it. */
async function* pathsToCompare(folder: string): AsyncGenerator<string> {
  yield '';
  let inner: string | undefined = '';
  for (let depth = 0; depth < foldersCompared && inner !== undefined; depth++) {
    const newest = (await entriesOf(folder, inner)).slice(0, entriesCompared);
    for (const { path } of newest) yield path;
    inner = newest.find(({ stats }) => stats.isDirectory())?.path;
  }
}

/** Files and folders, the newest first. None of a folder that this user may not read. */
async function entriesOf(
  folder: string,
  inner: string,
): Promise<{ readonly path: string; readonly stats: BigIntStats }[]> {
  const around = await lookAt(folder, inner);
  const names = await readdir(join(folder, inner)).catch(() => []);
  const entries = [];
  for (const name of names.slice(0, entriesLookedAt)) {
    const path = join(inner, name);
    const stats = await lookAt(folder, path);
    // What is mounted there, others may see differently, or not at all.
    if (stats?.dev !== around?.dev) continue;
    if (stats?.isFile() || stats?.isDirectory()) entries.push({ path, stats });
  }
  return entries.sort((a, b) => Number(b.stats.mtimeNs - a.stats.mtimeNs));
}

/** The folder itself may be a link to one. */
function lookAt(folder: string, path: string): Promise<BigIntStats | undefined> {
  const found =
    path === '' ? stat(folder, { bigint: true }) : lstat(join(folder, path), { bigint: true });
  return found.catch(() => undefined);
}

const typeOf = (stats: BigIntStats): PathStat['type'] => (stats.isDirectory() ? 'folder' : 'file');
