import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type * as Artifact from '@actions/artifact';

import { AppError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { decodeArtifactName, encodeArtifactName } from './artifact-name.ts';
import { bundleFiles, moveBundle } from './bundle-files.ts';
import { callClient, describeTrouble, lastStatus, throwIfCancelled } from './client-call.ts';
import type { Exchange, Outcome } from './client-call.ts';
import type { Found, Lookup, SnapshotStore } from './store.ts';

export interface ArtifactOptions {
  readonly log?: Log | undefined;
  /** How long GitHub keeps a snapshot; its own default where absent. */
  readonly retentionDays?: number | undefined;
}

type Library = typeof Artifact;

/**
 * Snapshots as artifacts of the current run, between its jobs.
 *
 * The client puts every failed request into an error whose status is only in its text. So statuses are taken from
 * the requests that it made.
 */
export function createArtifactStore({ log, retentionDays }: ArtifactOptions): SnapshotStore {
  const call = async <T>(
    work: (library: Library) => Promise<T>,
    signal: AbortSignal,
  ): Promise<Outcome<T>> => {
    throwIfCancelled(signal);
    const library = await import('@actions/artifact');
    return callClient(() => work(library), signal).outcome;
  };

  /** The artifact that holds `key`. */
  async function lookUp(key: string, signal: AbortSignal) {
    const name = encodeArtifactName(key);
    const outcome = await call((library) => library.default.getArtifact(name), signal);
    if (outcome.ok) return outcome.value.artifact;
    if (await isNotFound(outcome.error)) return undefined;
    throw unavailable(`could not look up ${key}`, outcome);
  }

  return {
    name: 'artifact',

    async find({ primary, prefixes }: Lookup, signal: AbortSignal): Promise<Found | undefined> {
      if ((await lookUp(primary, signal)) !== undefined) return { key: primary, exact: true };
      if (prefixes.length === 0) return undefined;
      const outcome = await call((library) => library.default.listArtifacts(), signal);
      if (!outcome.ok) throw unavailable('could not list the artifacts of this run', outcome);
      // Ids grow, so the greatest is the newest.
      const keys = outcome.value.artifacts
        .toSorted((a, b) => b.id - a.id)
        .map((artifact) => decodeArtifactName(artifact.name))
        .filter((key) => key !== undefined);
      for (const prefix of prefixes) {
        const key = keys.find((one) => one.startsWith(prefix));
        if (key !== undefined) return { key, exact: key === primary };
      }
      return undefined;
    },

    async load({ key }: Found, bundleDir: string, signal: AbortSignal): Promise<boolean> {
      const artifact = await lookUp(key, signal);
      if (artifact === undefined) return false;
      const { id, digest } = artifact;
      // Beside the bundle: on the same file system, and not seen by anyone before it is whole.
      const scratch = await mkdtemp(join(dirname(bundleDir), 'snapvol-artifact-'));
      const options = { path: scratch, ...(digest !== undefined && { expectedHash: digest }) };
      let ended: Promise<unknown> = Promise.resolve();
      try {
        const library = await import('@actions/artifact');
        const running = callClient(() => library.default.downloadArtifact(id, options), signal);
        ({ ended } = running);
        const outcome = await running.outcome;
        throwIfCancelled(signal);
        if (outcome.ok) {
          if (outcome.value.digestMismatch === true) {
            log?.warn(`artifact ${key} arrived with other bytes than were uploaded`);
          }
          await moveBundle(scratch, bundleDir);
          return true;
        }
        if ((await lookUp(key, signal)) === undefined) return false;
        throw unavailable(`could not load ${key}`, outcome);
      } finally {
        const tidied = ended.then(() => rm(scratch, { recursive: true, force: true }));
        // A cancelled client goes on for a while and would write into the folder again.
        if (signal.aborted) {
          tidied.catch((error: unknown) => log?.debug(`${scratch} is left: ${messageOf(error)}`));
        } else {
          await tidied;
        }
      }
    },

    async save(key: string, bundleDir: string, signal: AbortSignal) {
      throwIfCancelled(signal);
      const files = [...(await bundleFiles(bundleDir))];
      // Bundles are compressed already.
      const options = {
        compressionLevel: 0,
        ...(retentionDays !== undefined && { retentionDays }),
      };
      const outcome = await call(
        (library) =>
          library.default.uploadArtifact(encodeArtifactName(key), files, bundleDir, options),
        signal,
      );
      if (outcome.ok) return 'saved';
      const { exchanges } = outcome;
      const taken = lastStatus(exchanges, 'CreateArtifact') === 409;
      const finalizing = exchanges.at(-1)?.call === 'FinalizeArtifact';
      // The name is taken from the beginning of an upload on, so look whether there is a snapshot as well. When only
      // the answer to our own last request was lost, there is one, too.
      if ((taken || finalizing) && (await lookUp(key, signal)) !== undefined)
        return 'already-there';
      throw unavailable(`could not save ${key}`, outcome, taken ? TAKEN : undefined);
    },
  };
}

const TAKEN = 'another job is saving this key now, or a save of it in this run broke off';

async function isNotFound(error: unknown): Promise<boolean> {
  const { ArtifactNotFoundError } = await import('@actions/artifact');
  return error instanceof ArtifactNotFoundError;
}

function unavailable(
  what: string,
  { error, exchanges }: { readonly error: unknown; readonly exchanges: readonly Exchange[] },
  known?: string,
): AppError {
  const reason = known ?? describeTrouble(exchanges) ?? messageOf(error);
  return new AppError('store-unavailable', `GitHub's artifact service: ${what}: ${reason}`, {
    cause: error,
  });
}
