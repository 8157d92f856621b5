import { mkdir, rm, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type * as Cache from '@actions/cache';

import { AppError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { moveBundle } from './bundle-files.ts';
import {
  callClient,
  describeTrouble,
  lastStatus,
  orCancelled,
  retryAfterMs,
  throwIfCancelled,
} from './client-call.ts';
import type { Exchange, Outcome } from './client-call.ts';
import { withFlatTar, withVariables } from './flat-tar.ts';
import type { Found, Lookup, SnapshotStore } from './store.ts';

/**
 * Under the current folder. The service's "version" of an entry is a hash of the very text of these paths: with another
 * one, no entry of before would be found.
 */
const FOLDER = '.snapvol-cache';
const PATHS = [`${FOLDER}/*`];

const SERVICE = "GitHub's cache service";

type Client = typeof Cache;

/** Calls the client while the folder is ours. */
type Run = <T>(call: (cache: Client) => Promise<T>) => Promise<Outcome<T>>;

/**
 * Snapshots as entries of GitHub's cache, between runs.
 *
 * The client swallows its errors: a miss and an outage are the same `undefined`, every failed save is -1, and the
 * words go to standard output. So the reasons told here come from the statuses of the requests that it made. What a
 * status cannot tell (a refusal in an answer of status 200) is said as such, and points to the client's own lines.
 */
export function createActionsCacheStore(log?: Log): SnapshotStore {
  // The client looks for files in the current folder, but packs and unpacks in GITHUB_WORKSPACE, by the paths from there.
  // So both have to be one folder, under one name: the workspace may be a symbolic link, or another folder.
  const workspace = { GITHUB_WORKSPACE: process.cwd() };
  const folder = join(workspace.GITHUB_WORKSPACE, FOLDER);
  /** There is one folder, so one save or load at a time. */
  let turn: Promise<unknown> = Promise.resolve();

  async function client(): Promise<Client> {
    const cache = await import('@actions/cache');
    if (cache.isFeatureAvailable()) return cache;
    throw new AppError('store-unavailable', `${SERVICE} cannot be reached from here`, {
      hint: 'Only `uses:` steps of a GitHub Actions job can use it; elsewhere, choose store file:DIR',
    });
  }

  /** The key of the entry that the service prefers for these keys. */
  async function lookUp(keys: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    const [first, ...others] = keys;
    if (first === undefined) return undefined;
    const cache = await client();
    const outcome = await callClient(
      () => cache.restoreCache(PATHS, first, others, { lookupOnly: true }),
      signal,
    ).outcome;
    if (!outcome.ok) throw unavailable(`could not look up ${first}`, outcome);
    if (outcome.value !== undefined) return outcome.value;
    if (!wasAnswered(outcome.exchanges)) throw unavailable(`could not look up ${first}`, outcome);
    return undefined;
  }

  const holds = async (key: string, signal: AbortSignal): Promise<boolean> =>
    (await lookUp([key], signal)) === key;

  /** Runs `work` while the folder is ours; it is gone before and after. */
  async function inFolder<T>(signal: AbortSignal, work: (run: Run) => Promise<T>): Promise<T> {
    const cache = await client();
    const before = turn;
    const mine = Promise.withResolvers<undefined>();
    turn = Promise.all([before, mine.promise]);
    try {
      await orCancelled(before, signal);
    } catch (error) {
      mine.resolve(undefined); // it was never ours, so there is nothing to tidy
      throw error;
    }
    let ended: Promise<unknown> = Promise.resolve();
    const tidy = async (): Promise<void> => {
      await ended;
      await rm(folder, { recursive: true, force: true });
    };
    try {
      await rm(folder, { recursive: true, force: true }); // a killed run may have left one
      return await work((call) => {
        const running = callClient(() => withVariables(workspace, () => call(cache)), signal);
        ended = running.ended;
        return running.outcome;
      });
    } finally {
      const tidied = tidy().finally(() => {
        mine.resolve(undefined);
      });
      // A cancelled client goes on for a while; nobody waits for it but the next user of the folder. This process may
      // end before it does, so what can be removed now is.
      if (signal.aborted) {
        const left = (error: unknown): void => log?.debug(`${folder} is left: ${messageOf(error)}`);
        await rm(folder, { recursive: true, force: true }).catch(left);
        tidied.catch(left);
      } else {
        await tidied;
      }
    }
  }

  return {
    name: 'actions-cache',

    async find({ primary, prefixes }: Lookup, signal: AbortSignal): Promise<Found | undefined> {
      throwIfCancelled(signal);
      let key = await lookUp([primary, ...prefixes], signal);
      // The service takes the primary key for a prefix, too, and prefers what that finds.
      if (key !== undefined && key !== primary && key.startsWith(primary)) {
        key = await lookUp(prefixes, signal);
      }
      return key === undefined ? undefined : { key, exact: key === primary };
    },

    async load(found: Found, bundleDir: string, signal: AbortSignal): Promise<boolean> {
      throwIfCancelled(signal);
      const outcome = await inFolder(signal, async (run) => {
        await mkdir(folder);
        const loaded = await run((cache) =>
          withFlatTar(FOLDER, () => cache.restoreCache(PATHS, found.key)),
        );
        throwIfCancelled(signal);
        // Another key: ours has gone, and the service found one that begins like it.
        if (loaded.ok && loaded.value === found.key) await moveBundle(folder, bundleDir);
        return loaded;
      });
      if (outcome.ok && outcome.value !== undefined) return outcome.value === found.key;
      const what = `could not load ${found.key}`;
      const last = outcome.exchanges.at(-1);
      const askedOnly = last?.call !== 'download';
      if (!outcome.ok || (askedOnly && !wasAnswered(outcome.exchanges))) {
        throw unavailable(what, outcome);
      }
      if (askedOnly || !(await holds(found.key, signal))) return false;
      throw unavailable(what, outcome, {
        unseen: 'what arrived is damaged, or there was no room to unpack it',
      });
    },

    async save(key: string, bundleDir: string, signal: AbortSignal) {
      throwIfCancelled(signal);
      // The client would make its archive first and only then hear that the key is taken.
      if (await holds(key, signal)) return 'already-there';
      const outcome = await inFolder(signal, async (run) => {
        // The client then packs the bundle from where it is: no copy, and nothing in it is touched.
        await symlink(resolve(bundleDir), folder, 'junction');
        throwIfCancelled(signal);
        return run((cache) => cache.saveCache(PATHS, key));
      });
      if (outcome.ok && outcome.value !== -1) return 'saved';

      const { exchanges } = outcome;
      const taken = lastStatus(exchanges, 'CreateCacheEntry') === 409;
      const finalizing = exchanges.at(-1)?.call === 'FinalizeCacheEntryUpload';
      // Another job has saved it meanwhile, or the answer to our own last request was lost.
      if ((taken || finalizing) && (await holds(key, signal))) return 'already-there';
      if (taken) throw unavailable(`could not save ${key}`, outcome, { known: TAKEN });
      throw unavailable(`could not save ${key}`, outcome, { unseen: unseenReason(exchanges) });
    },
  };
}

const NO_REQUEST = "the run's cache mode does not permit it";
const TAKEN = 'another job is saving this key now, or began to and was ended';

/** Why a save failed when every request went well. */
function unseenReason(exchanges: readonly Exchange[]): string {
  if (exchanges.length === 0) {
    return `${NO_REQUEST}, or the archive could not be made`;
  }
  if (exchanges.at(-1)?.call === 'CreateCacheEntry') {
    return (
      'the service refused to reserve the key, as it does when the token of the run may only read caches ' +
      '(pull_request_target, issue_comment, workflow_run)'
    );
  }
  return 'the service refused the upload';
}

function wasAnswered(exchanges: readonly Exchange[]): boolean {
  return exchanges.length > 0 && describeTrouble(exchanges) === undefined;
}

/** `known` is better than what the requests tell; `unseen` is for when they tell nothing. */
function unavailable(
  what: string,
  outcome: { readonly error?: unknown; readonly exchanges: readonly Exchange[] },
  reasons: { readonly known?: string; readonly unseen?: string } = {},
): AppError {
  const { error, exchanges } = outcome;
  const reason =
    reasons.known ??
    describeTrouble(exchanges) ??
    (error === undefined ? (reasons.unseen ?? NO_REQUEST) : messageOf(error));
  return new AppError('store-unavailable', `${SERVICE}: ${what}: ${reason}`, {
    cause: error,
    hint: "The cache client's own lines above may say more",
    ...(reasons.known === undefined && { retryAfterMs: retryAfterMs(exchanges) }),
  });
}
