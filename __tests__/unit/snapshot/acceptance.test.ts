import { expect, test } from '@jest/globals';

import { refusal, type Acceptance } from '../../../src/snapshot/acceptance.ts';
import { makeManifest } from '../../support/manifests.ts';

const digest = 'a'.repeat(64);
const bundle = {
  digest,
  manifest: makeManifest({
    provenance: { repository: 'acme/shop', ref: 'refs/heads/release-7', event: 'push' },
  }),
};
const refusalBy = (acceptance: Partial<Acceptance>): string | undefined =>
  refusal(bundle, { digest: undefined, provenance: [], ...acceptance });

test('without wishes any snapshot is wanted', () => {
  expect(refusalBy({})).toBeUndefined();
});

test('only the snapshot of the expected digest is wanted', () => {
  expect(refusalBy({ digest })).toBeUndefined();
  expect(refusalBy({ digest: 'b'.repeat(64) })).toBe(
    `its digest is ${digest}, and "expect-digest" is ${'b'.repeat(64)}`,
  );
});

test('all rules must hold, each by one of its patterns', () => {
  const repository = { name: 'repository', patterns: ['acme/*'] } as const;
  const ref = { name: 'ref', patterns: ['refs/heads/main', 'refs/heads/release-*'] } as const;
  expect(refusalBy({ provenance: [repository, ref] })).toBeUndefined();
  expect(refusalBy({ provenance: [repository, { name: 'event', patterns: ['schedule'] }] })).toBe(
    'its event is push, and "require-provenance" asks for schedule',
  );
  expect(refusalBy({ provenance: [{ name: 'ref', patterns: ['main', 'dev'] }] })).toContain(
    'asks for main or dev',
  );
});

test('what a snapshot does not say of itself is no match, whatever the pattern', () => {
  expect(refusalBy({ provenance: [{ name: 'run', patterns: ['*'] }] })).toBe(
    'it does not say its run, which "require-provenance" asks for',
  );
});
