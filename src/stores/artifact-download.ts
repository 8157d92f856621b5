import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type * as Artifact from '@actions/artifact';

import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { moveBundle } from './bundle-files.ts';
import { callClient, throwIfCancelled, type Outcome } from './client-call.ts';

export interface Download {
  readonly key: string;
  readonly id: number;
  /** What the archive's bytes should hash to, where it is known. */
  readonly digest: string | undefined;
  /** The other run that has it, and how to get at it. */
  readonly findBy?: Artifact.FindOptions['findBy'];
}

/** Fills `bundleDir` with an artifact's files, or leaves it empty and tells why. */
export async function downloadBundle(
  { key, id, digest, findBy }: Download,
  bundleDir: string,
  log: Log | undefined,
  signal: AbortSignal,
): Promise<Outcome<unknown>> {
  const library = await import('@actions/artifact');
  // Beside the bundle: on the same file system, and not seen by anyone before it is whole.
  const scratch = await mkdtemp(join(dirname(bundleDir), 'snapvol-artifact-'));
  const options = {
    path: scratch,
    ...(digest !== undefined && { expectedHash: digest }),
    ...(findBy !== undefined && { findBy }),
  };
  let ended: Promise<unknown> = Promise.resolve();
  try {
    const running = callClient(() => library.default.downloadArtifact(id, options), signal);
    ({ ended } = running);
    const outcome = await running.outcome;
    throwIfCancelled(signal);
    if (outcome.ok) {
      if (outcome.value.digestMismatch === true) {
        log?.warn(`artifact ${key} arrived with other bytes than were uploaded`);
      }
      await moveBundle(scratch, bundleDir);
    }
    return outcome;
  } finally {
    const tidied = ended.then(() => rm(scratch, { recursive: true, force: true }));
    // A cancelled client goes on for a while and would write into the folder again.
    if (signal.aborted) {
      tidied.catch((error: unknown) => log?.debug(`${scratch} is left: ${messageOf(error)}`));
    } else {
      await tidied;
    }
  }
}
