import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { StoreLocation } from '../../../src/stores/location.ts';
import { isReadableByAll, untrustedReason } from '../../../src/action/trust.ts';

const cache: StoreLocation = { kind: 'actions-cache' };
const folder: StoreLocation = { kind: 'file', dir: '/s' };

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trust-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function environment(event: string, payload: unknown = {}): Record<string, string> {
  const file = join(dir, 'event.json');
  writeFileSync(file, JSON.stringify(payload));
  return { GITHUB_EVENT_NAME: event, GITHUB_EVENT_PATH: file, GITHUB_REPOSITORY: 'acme/shop' };
}

const from = (repository: string | null) => ({
  pull_request: { head: { repo: repository === null ? null : { full_name: repository } } },
});

test.each(['push', 'schedule', 'workflow_dispatch', 'merge_group', 'release'])(
  '%s is trusted',
  (event) => {
    expect(untrustedReason(environment(event), cache)).toBeUndefined();
    expect(untrustedReason(environment(event), folder)).toBeUndefined();
  },
);

test('outside of GitHub there is nothing to distrust', () => {
  expect(untrustedReason({}, folder)).toBeUndefined();
});

test.each([
  ...['pull_request_target', 'issue_comment', 'workflow_run', 'issues', 'discussion_comment'],
  ...['gollum', 'watch', 'fork', 'an_event_of_tomorrow'],
])('%s is not trusted', (event) => {
  expect(untrustedReason(environment(event), cache)).toContain(event);
});

test.each(['pull_request', 'pull_request_review'])(
  '%s from elsewhere may not write to a folder, which has no scope of its own',
  (event) => {
    const reason = (source: string | null, store: StoreLocation) =>
      untrustedReason(environment(event, from(source)), store);
    expect(reason('acme/shop', folder)).toBeUndefined();
    expect(reason('mallory/shop', folder)).toContain('mallory/shop');
    expect(reason(null, folder)).toContain('gone');
    expect(reason('mallory/shop', cache)).toBeUndefined();
  },
);

test('what a public repository stores with GitHub can be read by anybody', () => {
  const readable = (isPrivate: boolean | undefined, store: StoreLocation) =>
    isReadableByAll(environment('push', { repository: { private: isPrivate } }), store);
  expect(readable(false, cache)).toBe(true);
  expect(readable(true, cache)).toBe(false);
  expect(readable(undefined, cache)).toBe(false);
  expect(readable(false, folder)).toBe(false);
  expect(readable(false, { ...cache, encryptTo: ['age1x'] })).toBe(false);
  const publicPush = environment('push', { repository: { private: false } });
  expect(isReadableByAll(publicPush, cache, { passphrase: 'x' })).toBe(false);
  expect(isReadableByAll(publicPush, cache, { passphrase: '' })).toBe(true);
  expect(isReadableByAll({}, cache)).toBe(false);
});
