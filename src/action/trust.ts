import { readFileSync } from 'node:fs';

import type { StoreLocation } from '../stores/location.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** These run with the repository's rights on what other people wrote. */
const foreignEvents: ReadonlySet<string> = new Set([
  'pull_request_target',
  'issue_comment',
  'workflow_run',
]);

/**
 * Why a snapshot made by this run should not be trusted by later ones, or `undefined`. With `save: auto` such a run
 * restores and seeds, but does not save. What a pull request from a fork puts into GitHub's own stores is seen by that
 * pull request only; a folder has no such scope.
 * https://docs.github.com/actions/reference/security/secure-use
 */
export function untrustedReason(env: Environment, store: StoreLocation): string | undefined {
  const event = env['GITHUB_EVENT_NAME'] ?? '';
  if (foreignEvents.has(event)) return `the event ${event} may run on other people's input`;
  if (event === 'pull_request' && store.kind === 'file') {
    const source = pullRequestSource(env['GITHUB_EVENT_PATH']);
    if (source !== env['GITHUB_REPOSITORY']) {
      return `the pull request comes from ${source ?? 'a repository that is gone'}`;
    }
  }
  return undefined;
}

function pullRequestSource(eventPath: string | undefined): string | undefined {
  if (eventPath === undefined) return undefined;
  const event = JSON.parse(readFileSync(eventPath, 'utf8')) as {
    pull_request?: { head?: { repo?: { full_name?: string } | null } };
  };
  return event.pull_request?.head?.repo?.full_name;
}
