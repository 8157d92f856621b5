import type * as Artifact from '@actions/artifact';

import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { downloadBundle } from './artifact-download.ts';
import { unavailable, type Failure } from './artifact-errors.ts';
import { encodeArtifactName, keysOfArtifacts } from './artifact-name.ts';
import { bundleFiles } from './bundle-files.ts';
import { callClient, lastStatus, throwIfCancelled, type Outcome } from './client-call.ts';
import type { ReplaceableStore } from './store.ts';

/** The artifacts of the run at work: the only ones that can be written. */
export interface ThisRun extends Pick<ReplaceableStore, 'save' | 'replace'> {
  has(key: string, signal: AbortSignal): Promise<boolean>;
  /** Newest first. */
  keys(signal: AbortSignal): Promise<readonly string[]>;
  load(key: string, bundleDir: string, signal: AbortSignal): Promise<boolean>;
}

/** As often as somebody else may save what was just removed to be replaced. */
const REPLACE_TRIES = 5;

const TAKEN = 'another job is saving this key now, or a save of it in this run broke off';

/**
 * The client puts every failed request into an error whose status is only in its text. So statuses are taken from the
 * requests that it made.
 */
export function createThisRun(retentionDays: number | undefined, log: Log | undefined): ThisRun {
  const call = async <T>(
    work: (library: typeof Artifact) => Promise<T>,
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

  async function upload(
    key: string,
    bundleDir: string,
    signal: AbortSignal,
  ): Promise<'saved' | 'saved-unheard' | 'already-there'> {
    const files = [...(await bundleFiles(bundleDir))];
    // Bundles are compressed already.
    const options = {
      compressionLevel: 0,
      ...(retentionDays !== undefined && { retentionDays }),
    };
    const name = encodeArtifactName(key);
    const outcome = await call(
      (library) => library.default.uploadArtifact(name, files, bundleDir, options),
      signal,
    );
    if (outcome.ok) return 'saved';
    const { exchanges } = outcome;
    const taken = lastStatus(exchanges, 'CreateArtifact') === 409;
    const finalizing = exchanges.at(-1)?.call === 'FinalizeArtifact';
    // The name is taken from the beginning of an upload on, so look whether there is a snapshot as well. When only
    // the answer to our own last request was lost, there is one, too.
    if ((taken || finalizing) && (await lookUp(key, signal)) !== undefined) {
      return finalizing ? 'saved-unheard' : 'already-there';
    }
    throw unavailable(`could not save ${key}`, outcome, taken ? TAKEN : undefined);
  }

  async function remove(key: string, signal: AbortSignal): Promise<void> {
    const name = encodeArtifactName(key);
    const outcome = await call((library) => library.default.deleteArtifact(name), signal);
    if (!outcome.ok && !(await wasGone(outcome))) {
      throw unavailable(`could not remove the old ${key}`, outcome);
    }
  }

  return {
    has: async (key, signal) => (await lookUp(key, signal)) !== undefined,

    async keys(signal) {
      const outcome = await call((library) => library.default.listArtifacts(), signal);
      if (!outcome.ok) throw unavailable('could not list the artifacts of this run', outcome);
      return keysOfArtifacts(outcome.value.artifacts);
    },

    async load(key, bundleDir, signal) {
      const artifact = await lookUp(key, signal);
      if (artifact === undefined) return false;
      const download = { key, id: artifact.id, digest: artifact.digest };
      const outcome = await downloadBundle(download, bundleDir, log, signal);
      if (outcome.ok) return true;
      if ((await lookUp(key, signal)) === undefined) return false;
      throw unavailable(`could not load ${key}`, outcome);
    },

    async save(key, bundleDir, signal) {
      throwIfCancelled(signal);
      return (await upload(key, bundleDir, signal)) === 'saved' ? 'saved' : 'already-there';
    },

    async replace(key, bundleDir, signal) {
      throwIfCancelled(signal);
      await bundleFiles(bundleDir); // what cannot be uploaded must not cost the old one
      for (let left = REPLACE_TRIES; left > 0; left -= 1) {
        await remove(key, signal);
        if ((await upload(key, bundleDir, signal)) !== 'already-there') return;
      }
      throw new AppError(
        'store-unavailable',
        `GitHub's artifact service: could not replace ${key}: other jobs save it again and again`,
      );
    },
  };
}

async function isNotFound(error: unknown): Promise<boolean> {
  const { ArtifactNotFoundError } = await import('@actions/artifact');
  return error instanceof ArtifactNotFoundError;
}

/** There was nothing to remove, or somebody else has removed it in this moment. */
async function wasGone({ error, exchanges }: Failure): Promise<boolean> {
  return (await isNotFound(error)) || lastStatus(exchanges, 'DeleteArtifact') === 404;
}
