import { expect, test } from '@jest/globals';

import type { RawInputs } from '../../../src/settings.ts';
import { reasonNotWorthwhile, type SnapshotTimes } from '../../../src/usecases/worthwhile.ts';
import { makeSettings } from '../../support/settings.ts';

/** Seeded in 0.8 s; restored, it would take 1.9 s. */
const quickSeed: SnapshotTimes = {
  ...{ seedingSeconds: 0.8, copySeconds: 1.4, readySeconds: 0.5 },
};

const reason = (raw: RawInputs = {}, times: Partial<SnapshotTimes> = {}): string | undefined =>
  reasonNotWorthwhile(makeSettings(raw), { ...quickSeed, ...times });

test('a snapshot is not worth saving when seeding takes less than restoring would', () => {
  expect(reason()).toBe(
    'seeding took 0.8 s, restoring would take about 1.9 s: set "save" to true to save it all the same, or to false to spare the snapshot',
  );
  expect(reason({ store: 'actions-cache' })).toBeDefined();
  // Each of its parts counts, and what is too short to be shown does not.
  expect(reason({}, { seedingSeconds: 1.84 })).toContain('took 1.8 s, restoring');
  expect(reason({}, { seedingSeconds: 1.86 })).toBeUndefined();
  for (const part of ['copySeconds', 'readySeconds'] as const) {
    const seedingSeconds = 1.9 - quickSeed[part];
    expect(reason({}, { seedingSeconds })).toBeDefined();
    expect(reason({}, { seedingSeconds, [part]: 0 })).toBeUndefined();
  }
});

test('whoever says so, may refer to it, or makes it for later jobs, gets it saved', () => {
  for (const raw of [{ save: 'true' }, { key: 'shop-1' }, { store: 'artifact' }])
    expect(reason(raw)).toBeUndefined();
  expect(reason({ 'restore-keys': 'shop-' })).toBeDefined();
});

test('the time of a slow compression says nothing of the way back', () => {
  const compression = (text: string) => reason({ compression: text }, { copySeconds: 60 });
  for (const quick of ['none', 'auto', 'zstd:3']) expect(compression(quick)).toContain('60.5 s');
  expect(compression('zstd:19')).toBeUndefined();
});
