import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { StoreLocation } from '../../../src/stores/location.ts';
import { untrustedReason } from '../../../src/action/trust.ts';

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

test.each(['push', 'schedule', 'workflow_dispatch', 'merge_group'])('%s is trusted', (event) => {
  expect(untrustedReason(environment(event), cache)).toBeUndefined();
});

test.each(['pull_request_target', 'issue_comment', 'workflow_run'])(
  '%s is not trusted',
  (event) => {
    expect(untrustedReason(environment(event), cache)).toContain(event);
  },
);

test('a pull request from elsewhere may not write to a folder, which has no scope of its own', () => {
  const reason = (source: string | null, store: StoreLocation) =>
    untrustedReason(environment('pull_request', from(source)), store);
  expect(reason('acme/shop', folder)).toBeUndefined();
  expect(reason('mallory/shop', folder)).toContain('mallory/shop');
  expect(reason(null, folder)).toContain('gone');
  expect(reason('mallory/shop', cache)).toBeUndefined();
});
