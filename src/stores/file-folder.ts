import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { haveManifest } from '../snapshot/manifest.ts';
import { orElse } from './file-errors.ts';

/** Beside the files of a bundle, where the folder's name is too long to tell the key. Never given out. */
const keyFileName = '.key';

/** The bundle's files in `folder`; none where it is no folder, or has gone. */
export async function filesOf(folder: string): Promise<string[]> {
  const entries = await orElse(readdir(folder, { withFileTypes: true }), [], ['ENOENT', 'ENOTDIR']);
  return entries
    .filter((entry) => entry.isFile() && entry.name !== keyFileName)
    .map(({ name }) => name);
}

/** A folder with a manifest: others may keep other things here. */
export async function isSnapshot(folder: string): Promise<boolean> {
  return haveManifest(await filesOf(folder));
}

/** Size and time of the snapshot in `folder`; `undefined` where there is none. */
export async function measure(
  folder: string,
): Promise<{ readonly sizeBytes: number; readonly createdAtMs: number } | undefined> {
  const names = await filesOf(folder);
  if (!haveManifest(names)) return undefined;
  const { mtimeMs } = await stat(folder);
  let sizeBytes = 0;
  for (const name of names) sizeBytes += (await stat(join(folder, name))).size;
  return { sizeBytes, createdAtMs: Math.floor(mtimeMs) };
}

/** Tells a snapshot from another one of the same key, saved after the first was removed. */
export async function identityOf(folder: string): Promise<string | undefined> {
  if (!(await isSnapshot(folder))) return undefined;
  const stats = await orElse(stat(folder), undefined, ['ENOENT']);
  return stats && `${stats.dev} ${stats.ino} ${stats.mtimeMs}`;
}

export async function writeKey(folder: string, key: string): Promise<void> {
  await using file = await open(join(folder, keyFileName), 'wx', 0o444);
  await file.writeFile(key);
  await file.sync();
}

export function readKey(folder: string): Promise<string | undefined> {
  const text = readFile(join(folder, keyFileName), 'utf8');
  return orElse(text, undefined, ['ENOENT', 'ENOTDIR', 'EACCES']);
}
