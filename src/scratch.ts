import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { isAlive, place } from './process-identity.ts';

/** Told apart by what makes them, so that those of killed processes are found. */
const scratchName = /^snapvol-scratch-(?<place>.+)-(?<pid>[1-9]\d*)-[A-Za-z0-9]{6}$/;

/** A new folder for one run. What killed ones have left there, copies of whole volumes perhaps, goes first. */
export async function createScratch(tempDir: string): Promise<string> {
  for (const name of await readdir(tempDir).catch(() => [])) {
    const maker = scratchName.exec(name)?.groups;
    if (maker?.['place'] !== place() || isAlive(Number(maker['pid']))) continue;
    // It may be another user's: then it is not ours to remove.
    await rm(join(tempDir, name), { recursive: true, force: true }).catch(() => undefined);
  }
  return mkdtemp(join(tempDir, `snapvol-scratch-${place()}-${process.pid}-`));
}
