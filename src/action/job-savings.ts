import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { toAppError } from '../errors.ts';
import { parseJson } from '../json.ts';

/** What all databases of a job have saved, so far. */
export interface JobSavings {
  /** Negative where restoring has taken longer than seeding. */
  readonly savedSeconds: number;
  /** That were restored, and tell. */
  readonly databases: number;
}

/** In the folder that the runner empties after each job. */
function fileOf(tempDir: string, scope: string): string {
  return join(tempDir, `snapvol-saved-${scope}.json`);
}

/** The sum with `savedSeconds` of one more database, where it tells. What is damaged counts as nothing. */
export async function addSavings(
  tempDir: string,
  scope: string,
  savedSeconds: number | undefined,
): Promise<JobSavings> {
  const file = fileOf(tempDir, scope);
  const before = read(await readFile(file, 'utf8').catch(() => ''));
  if (savedSeconds === undefined) return before;
  const sum = {
    savedSeconds: before.savedSeconds + savedSeconds,
    databases: before.databases + 1,
  };
  await writeFile(file, JSON.stringify(sum), { mode: 0o600 });
  return sum;
}

export async function removeSavings(tempDir: string, scope: string): Promise<void> {
  await rm(fileOf(tempDir, scope), { force: true });
}

function read(text: string): JobSavings {
  const none = { savedSeconds: 0, databases: 0 };
  try {
    const found = parseJson(text, toAppError);
    return isSavings(found) ? found : none;
  } catch {
    return none;
  }
}

function isSavings(value: unknown): value is JobSavings {
  if (typeof value !== 'object' || value === null) return false;
  const { savedSeconds, databases }: Partial<Record<keyof JobSavings, unknown>> = value;
  return Number.isFinite(savedSeconds) && Number.isSafeInteger(databases);
}
