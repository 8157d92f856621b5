import type { Log } from '../log.ts';
import { isAbsent, isApiError } from './artifact-api-errors.ts';
import { asking, createActionsApi, type ApiAccess, type ListedArtifact } from './artifact-api.ts';
import { downloadBundle } from './artifact-download.ts';
import { unavailable } from './artifact-errors.ts';
import { encodeArtifactName, keysOfArtifacts } from './artifact-name.ts';
import { throwIfCancelled } from './client-call.ts';
import type { ArtifactSource } from './location.ts';

/** How many successful runs on a branch are looked through. docs/stores.md says so, too. */
const MAX_RUNS = 50;

/** The runs that are read beside the one at work, or instead of it. */
export interface OtherRuns {
  /** Newest first. */
  ids(signal: AbortSignal): Promise<readonly number[]>;
  /** The first of these runs that has `key`. */
  holderOf(
    key: string,
    runIds: readonly number[],
    signal: AbortSignal,
  ): Promise<number | undefined>;
  /** The keys of one run, newest first. */
  keys(runId: number, signal: AbortSignal): Promise<readonly string[]>;
  load(runId: number, key: string, bundleDir: string, signal: AbortSignal): Promise<boolean>;
}

export interface OtherRunsOptions {
  readonly access: ApiAccess;
  readonly from: Exclude<ArtifactSource, { kind: 'this-run' }>;
  /** The run at work, which is not one of them. */
  readonly ownRunId: number | undefined;
  readonly log: Log | undefined;
}

export function createOtherRuns({ access, from, ownRunId, log }: OtherRunsOptions): OtherRuns {
  const api = createActionsApi(access);

  /** Runs come and go while they are looked through: one that has gone has nothing. */
  async function artifactsOf(
    runId: number,
    key: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly ListedArtifact[]> {
    try {
      return await api.artifactsOfRun(runId, key && encodeArtifactName(key), signal);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  return {
    async ids(signal) {
      if (from.kind === 'run') return [from.runId];
      const ids = await api.successfulRuns(from, MAX_RUNS + 1, signal);
      return ids.filter((id) => id !== ownRunId).slice(0, MAX_RUNS);
    },

    async holderOf(key, runIds, signal) {
      const name = encodeArtifactName(key);
      if (from.kind === 'run') {
        // A run that was named must be there, or all would be misses and nobody would know why.
        const found = await api.artifactsOfRun(from.runId, name, signal);
        return found.length > 0 ? from.runId : undefined;
      }
      if (runIds.length === 0) return undefined;
      // One request instead of one for each run: most look-ups are of keys that no run has.
      const { items, complete } = await api.artifactsNamed(name, signal);
      const holders = new Set(items.map(({ runId }) => runId));
      for (const runId of runIds) {
        if (holders.has(runId)) return runId;
        if (!complete && (await artifactsOf(runId, key, signal)).length > 0) return runId;
      }
      return undefined;
    },

    async keys(runId, signal) {
      return keysOfArtifacts(await artifactsOf(runId, undefined, signal));
    },

    async load(runId, key, bundleDir, signal) {
      const [artifact] = await artifactsOf(runId, key, signal);
      if (artifact === undefined) return false;
      const { owner, repo, token } = access;
      const at = { repositoryOwner: owner, repositoryName: repo, workflowRunId: runId, token };
      const download = { key, id: artifact.id, digest: artifact.digest, findBy: at };
      const question = {
        what: `could not load ${key} from run ${runId}`,
        absent: 'there is no such artifact',
      };
      try {
        const outcome = await asking(
          question,
          async () => {
            const one = await downloadBundle(download, bundleDir, log, signal);
            if (!one.ok && isApiError(one.error)) throw one.error;
            return one;
          },
          signal,
        );
        if (outcome.ok) return true;
        throw unavailable(question.what, outcome);
      } catch (error) {
        throwIfCancelled(signal);
        // Removed or expired in this moment.
        if ((await artifactsOf(runId, key, signal)).length === 0) return false;
        throw error;
      }
    },
  };
}
