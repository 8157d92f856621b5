import { readFileSync } from 'node:fs';

import * as core from '@actions/core';

import type { SecretTexts } from '../compose.ts';
import { AppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { StoreLocation } from '../stores/location.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Started by who may write to the repository, by itself, or by its own schedule. An event that is not listed, known or
 * not, may carry what anybody has written, and runs with the repository's rights.
 * https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows
 */
const ownEvents: ReadonlySet<string> = new Set([
  'branch_protection_rule',
  'create',
  'delete',
  'deployment',
  'deployment_status',
  'merge_group',
  'page_build',
  'public',
  'push',
  'registry_package',
  'release',
  'repository_dispatch',
  'schedule',
  'workflow_dispatch',
]);

/** On the code of the pull request, with the rights of where that comes from. */
const pullRequestEvents: ReadonlySet<string> = new Set([
  'pull_request',
  'pull_request_review',
  'pull_request_review_comment',
]);

/**
 * Why a snapshot made by this run should not be trusted by later ones, or `undefined`. With `save: auto` such a run
 * restores and seeds, but does not save. What a pull request from a fork puts into GitHub's own stores is seen by that
 * pull request only; a folder has no such scope. Outside of GitHub there is no event, and nothing to distrust.
 * https://docs.github.com/actions/reference/security/secure-use
 */
export function untrustedReason(env: Environment, store: StoreLocation): string | undefined {
  const event = env['GITHUB_EVENT_NAME'] ?? '';
  if (event === '' || ownEvents.has(event)) return undefined;
  if (!pullRequestEvents.has(event)) return `the event ${event} may run on other people's input`;
  if (store.kind !== 'file') return undefined;
  const source = readEvent(env)?.pull_request?.head?.repo?.full_name;
  if (source !== undefined && source === env['GITHUB_REPOSITORY']) return undefined;
  return `the pull request comes from ${source ?? 'a repository that is gone'}`;
}

/** Whether anybody can read what this run stores: a public repository's artifacts and caches are for all. */
export function isReadableByAll(
  env: Environment,
  store: StoreLocation,
  secrets: SecretTexts = {},
): boolean {
  const isEncrypted = store.encryptTo !== undefined || Boolean(secrets.passphrase);
  return store.kind !== 'file' && !isEncrypted && readEvent(env)?.repository?.private === false;
}

/** Once for each snapshot that was saved: a hit makes nothing readable that was not. */
export function warnOfReaders(store: StoreLocation, secrets: SecretTexts | undefined): void {
  if (isReadableByAll(process.env, store, secrets)) warnThatAllCanRead();
}

export function warnThatAllCanRead(): void {
  core.warning(
    'this repository is public: anybody can read the snapshot that was saved. Do not seed from real data. ' +
      'https://github.com/snapvol/snapvol/blob/main/docs/threat-model.md#who-can-read-a-snapshot',
  );
}

interface Event {
  readonly pull_request?: { readonly head?: { readonly repo?: { readonly full_name?: string } } };
  readonly repository?: { readonly private?: boolean };
}

function readEvent(env: Environment): Event | undefined {
  const path = env['GITHUB_EVENT_PATH'];
  if (path === undefined) return undefined;
  // A cast: the runner writes GitHub's own payload there.
  return parseJson(
    readFileSync(path, 'utf8'),
    (cause) =>
      new AppError('invalid-settings', `the event in ${path} (GITHUB_EVENT_PATH) is no JSON`, {
        cause,
        hint: 'Look at what has changed that file, or that variable: the runner writes it',
      }),
  ) as Event;
}
