import { join } from 'node:path';

import { ageRecipients, durationMs, retentionDays } from './setting-values.ts';
import type { Reader } from './settings-reader.ts';
import { artifactStoreName, parseStore, type StoreLocation } from './stores/location.ts';

export interface SettingsContext {
  /** Where `store` is not given. */
  readonly defaultStore: string;
  /** What `~/` stands for in paths. */
  readonly home?: string | undefined;
  /** Of GitHub's API. Only whether there is one matters here: a secret is no part of settings. */
  readonly token?: string | undefined;
  /** OWNER/NAME of the job's. Folders of a host may be shared: each repository then has its own in them. */
  readonly repository?: string | undefined;
}

/** The inputs that say where snapshots are kept, for how long, and for whom they are encrypted. */
export function readStore(reader: Reader, context: SettingsContext): StoreLocation {
  const store = readLocation(reader, context);
  const encryptTo = reader.read('encrypt-to', ageRecipients, undefined);
  return encryptTo === undefined ? store : { ...store, encryptTo };
}

function readLocation(
  { read, attempt, problems }: Reader,
  { defaultStore, home, token, repository }: SettingsContext,
): StoreLocation {
  const parse = (text: string): StoreLocation => parseStore(text, home);
  const fallback = attempt<StoreLocation, StoreLocation>(
    () => parse(defaultStore),
    { kind: 'actions-cache' },
    (problem) => `store, where none is given: ${problem}`,
  );
  const given = read('store', parse, fallback);
  const timeoutMs = read('store-timeout', durationMs, undefined);
  const store: StoreLocation = {
    ...(given.kind === 'file' ? ofRepository(given, repository, problems) : given),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
  const days = read('retention-days', retentionDays, undefined);
  if (store.kind !== 'artifact') {
    if (days !== undefined) problems.push('retention-days: only the store artifact has it');
    return store;
  }
  if (store.from.kind !== 'this-run' && token === undefined) {
    problems.push(
      `token: the store ${artifactStoreName(store.from)} reads other runs, and needs a token with "actions: read" (in the command line, GITHUB_TOKEN)`,
    );
  }
  return days === undefined ? store : { ...store, retentionDays: days };
}

function ofRepository(
  store: StoreLocation & { readonly kind: 'file' },
  repository: string | undefined,
  problems: string[],
): StoreLocation {
  if (repository === undefined) return store;
  // As GitHub has its names: each is one segment of a path, and leads nowhere else.
  if (/^[\w-]+\/(?!\.{1,2}$)[\w.-]+$/.test(repository)) {
    return { ...store, dir: join(store.dir, repository) };
  }
  problems.push(`store: GITHUB_REPOSITORY is "${repository}", and not OWNER/NAME`);
  return store;
}
