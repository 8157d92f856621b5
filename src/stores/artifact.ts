import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ApiAccess } from './artifact-api.ts';
import { createOtherRuns, type OtherRuns } from './artifact-other-runs.ts';
import { createThisRun } from './artifact-this-run.ts';
import { throwIfCancelled } from './client-call.ts';
import { artifactStoreName, type ArtifactSource } from './location.ts';
import type { Found, Lookup, ReplaceableStore } from './store.ts';

export interface ArtifactOptions {
  /** Whose artifacts are read; this run's where absent. */
  readonly from?: ArtifactSource;
  /** How long GitHub keeps what is saved; its own default where absent. */
  readonly retentionDays?: number | undefined;
  /** GITHUB_REPOSITORY, for other runs. */
  readonly repository?: string | undefined;
  /** GITHUB_RUN_ID; absent outside of a run, which has no artifacts of its own to look at. */
  readonly runId?: string | undefined;
  /** Of GitHub's API, for other runs. */
  readonly token?: string | undefined;
  readonly log?: Log | undefined;
}

/**
 * Snapshots as artifacts. They are saved to the run at work, between its jobs, and read from it or from other runs.
 * @throws `invalid-settings` where it is to read other runs and does not know how
 */
export function createArtifactStore(options: ArtifactOptions): ReplaceableStore {
  const { from = { kind: 'this-run' }, retentionDays, runId, log } = options;
  const thisRun = createThisRun(retentionDays, log);
  const readsThisRun = from.kind === 'this-run' || (from.kind === 'latest' && runId !== undefined);
  const others =
    from.kind === 'this-run'
      ? noOtherRuns
      : createOtherRuns({
          access: accessOf(from, options),
          from,
          ownRunId: runId === undefined ? undefined : Number(runId),
          log,
        });

  const found = (key: string, exact: boolean, source?: string): Found => {
    if (source === undefined) return { key, exact };
    log?.info(`run ${source} has ${key}`);
    return { key, exact, source };
  };

  return {
    name: artifactStoreName(from),

    async find({ primary, prefixes }: Lookup, signal: AbortSignal): Promise<Found | undefined> {
      throwIfCancelled(signal);
      if (readsThisRun && (await thisRun.has(primary, signal))) return found(primary, true);
      const runIds = await others.ids(signal);
      const holder = await others.holderOf(primary, runIds, signal);
      if (holder !== undefined) return found(primary, true, String(holder));
      // In order of preference. Each is asked once, and only when it is its turn.
      const places: readonly Place[] = [
        ...(readsThisRun ? [{ keys: once(() => thisRun.keys(signal)) }] : []),
        ...runIds.map((id) => ({ source: String(id), keys: once(() => others.keys(id, signal)) })),
      ];
      for (const prefix of prefixes) {
        for (const { source, keys } of places) {
          const key = (await keys()).find((one) => one.startsWith(prefix));
          if (key !== undefined) return found(key, key === primary, source);
        }
      }
      return undefined;
    },

    load: ({ key, source }, bundleDir, signal) =>
      source === undefined
        ? thisRun.load(key, bundleDir, signal)
        : others.load(Number(source), key, bundleDir, signal),

    save: (key, bundleDir, signal) => thisRun.save(key, bundleDir, signal),
    replace: (key, bundleDir, signal) => thisRun.replace(key, bundleDir, signal),
  };
}

/** Where snapshots are looked for by prefix. */
interface Place {
  readonly source?: string;
  readonly keys: () => Promise<readonly string[]>;
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= work());
}

const noOtherRuns: OtherRuns = {
  ids: () => Promise.resolve([]),
  holderOf: () => Promise.resolve(undefined),
  keys: () => Promise.resolve([]),
  load: () => Promise.resolve(false),
};

function accessOf(from: ArtifactSource, { repository = '', token }: ArtifactOptions): ApiAccess {
  const store = artifactStoreName(from);
  const [owner, repo, ...more] = repository.split('/');
  if (!owner || !repo || more.length > 0) {
    throw new AppError('invalid-settings', `the store ${store} needs to know the repository`, {
      hint: 'Set GITHUB_REPOSITORY to OWNER/NAME',
    });
  }
  if (token === undefined) {
    throw new AppError('invalid-settings', `the store ${store} needs a token of GitHub's API`);
  }
  return { owner, repo, token };
}
