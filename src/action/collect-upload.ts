import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import * as core from '@actions/core';

import { systemClock } from '../clock.ts';
import { systemCodeOf, toAppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import { killGroup, stateOf } from '../process-identity.ts';
import { uploadFiles, type PendingUpload } from './hand-over.ts';
import { info } from './log.ts';
import { warnThatAllCanRead } from './trust.ts';
import type { UploadOutcome } from './upload.ts';

/** How long a cancelled job waits: its runner is ended after some minutes, and others wait for it. */
const cancelledWaitMs = 3000;
const pollMs = 100;

/**
 * Waits for the upload, prints its lines, and tells how it ended as if it had been made here: what was not saved is a
 * warning. Afterwards neither its process nor its folder is there.
 */
export async function collectUpload(
  upload: PendingUpload,
  isCancelled: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { key, dir } = upload;
  try {
    const outcome = await core.group(`Upload of ${key}`, async () => {
      const ended = await waitForEnd(upload, isCancelled, signal);
      const lines = (await readIfThere(join(dir, uploadFiles.log))) ?? '';
      for (const line of lines.split('\n')) if (line !== '') info(line);
      return ended;
    });
    report(upload, outcome);
  } finally {
    killGroup(upload.process);
    for (let left = 50; left > 0 && stateOf(upload.process) === 'alive'; left -= 1) {
      await systemClock.sleep(pollMs);
    }
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function waitForEnd(
  upload: PendingUpload,
  isCancelled: boolean,
  signal: AbortSignal,
): Promise<UploadOutcome> {
  const waitMs = isCancelled ? Math.min(cancelledWaitMs, upload.timeoutMs) : upload.timeoutMs;
  const endMs = systemClock.monotonicMs() + waitMs;
  for (let first = true; ; first = false) {
    // In this order: the outcome is written before the end.
    const isAlive = stateOf(upload.process) === 'alive';
    const outcome = await readIfThere(join(upload.dir, uploadFiles.outcome));
    if (outcome !== undefined) return parseOutcome(outcome);
    if (!isAlive) return failed('the process that uploaded it was ended before it was done');
    if (signal.aborted || systemClock.monotonicMs() >= endMs) {
      const isEnded = signal.aborted || isCancelled;
      return failed(
        isEnded
          ? 'the job was cancelled'
          : `it was not done ${waitMs / 1000} s after the last step`,
      );
    }
    if (first) info('it is not done yet: waiting for it');
    await systemClock.sleep(pollMs, signal).catch(() => undefined);
  }
}

function failed(reason: string): UploadOutcome {
  return { kind: 'failed', reason, details: [] };
}

function parseOutcome(text: string): UploadOutcome {
  try {
    // A cast: it comes from the upload, as a whole or not at all.
    return parseJson(text, toAppError) as UploadOutcome;
  } catch {
    return failed('what it has left of how it went cannot be read');
  }
}

function report({ key, readableByAll }: PendingUpload, outcome: UploadOutcome): void {
  switch (outcome.kind) {
    case 'saved':
      info(`saved ${key}, in ${outcome.seconds} s in the background`);
      if (readableByAll) warnThatAllCanRead();
      return;
    case 'already-there':
      info(`${key} is already there, kept as it is`);
      return;
    case 'failed':
      core.warning(`the snapshot was not saved: ${outcome.reason}`);
      for (const line of outcome.details) info(line);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
