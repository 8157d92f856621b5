import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  computeKey,
  differingParts,
  filesFingerprint,
  keyLimit,
  keyProblem,
  passwordFingerprint,
  versionedKey,
} from '../../../src/snapshot/key.ts';

const part = fc.record({ name: fc.string(), value: fc.string() });
const parts = fc.uniqueArray(part, { selector: ({ name }) => name, minLength: 1 });

describe('a computed key', () => {
  test('is a valid key that names engine and architecture', () => {
    const key = computeKey([
      { name: 'engine', value: 'postgres' },
      { name: 'architecture', value: 'arm64' },
    ]);
    expect(key).toMatch(/^snapvol-postgres-arm64-[0-9a-f]{40}$/);
    expect(keyProblem(key)).toBeUndefined();
  });

  test('does not depend on the order of its parts', () => {
    fc.assert(
      fc.property(parts, (given) => {
        expect(computeKey(given.toReversed())).toBe(computeKey(given));
      }),
    );
  });

  test('changes with each part', () => {
    fc.assert(
      fc.property(parts, fc.nat(), fc.string({ minLength: 1 }), (given, at, suffix) => {
        const changed = given.with(at % given.length, {
          name: given[at % given.length]?.name ?? '',
          value: `${given[at % given.length]?.value ?? ''}${suffix}`,
        });
        expect(computeKey(changed)).not.toBe(computeKey(given));
      }),
    );
  });

  test('does not let text move from one value into the next', () => {
    expect(computeKey([{ name: 'a', value: 'b1:c' }])).not.toBe(
      computeKey([
        { name: 'a', value: 'b' },
        { name: 'c', value: '' },
      ]),
    );
  });
});

test('keys that stores do not take are refused', () => {
  expect(keyProblem('')).toMatch(/empty/);
  expect(keyProblem('a,b')).toMatch(/comma/);
  expect(keyProblem('a\nb')).toMatch(/control/);
  expect(keyProblem('x'.repeat(513))).toMatch(/513/);
  expect(keyProblem('x'.repeat(512))).toBeUndefined();
});

describe('a versioned key', () => {
  const nowMs = Date.UTC(2026, 10, 21, 9, 5, 7, 999);

  test('is the name and the second, in UTC', () => {
    expect(versionedKey('shop', nowMs)).toBe('shop-20261121-090507');
    expect(versionedKey('a, b\n', nowMs)).toBe('a- b--20261121-090507');
  });

  test('is a valid key of Unicode that ends with the moment, whatever the name', () => {
    const anyName = fc.string({ unit: 'binary', maxLength: 700 });
    fc.assert(
      fc.property(fc.oneof(anyName, fc.constant('😀'.repeat(300))), (name) => {
        const key = versionedKey(name, nowMs);
        expect(keyProblem(key)).toBeUndefined();
        expect(key.isWellFormed()).toBe(true);
        expect(key).toMatch(/-20261121-090507$/);
      }),
    );
    expect(versionedKey('x'.repeat(700), nowMs)).toHaveLength(keyLimit);
  });
});

test('files are the same in any order, and not with another path or content', () => {
  const file = (path: string, content: string) => ({ path, sha256: content.padEnd(64, '0') });
  const one = filesFingerprint([file('a', '1'), file('b', '2')]);
  expect(filesFingerprint([file('b', '2'), file('a', '1')])).toBe(one);
  expect(filesFingerprint([file('a', '1'), file('c', '2')])).not.toBe(one);
  expect(filesFingerprint([file('a', '1'), file('b', '3')])).not.toBe(one);
  expect(filesFingerprint([file('a', '1'), file('b', '')])).not.toBe(
    filesFingerprint([file('a', '1b')]),
  );
});

test('a password fingerprint tells passwords apart and does not show them', () => {
  const fingerprint = passwordFingerprint('hunter2', 'app', 'shop');
  expect(fingerprint).not.toContain('hunter2');
  expect(passwordFingerprint('hunter2', 'app', 'shop')).toBe(fingerprint);
  expect(passwordFingerprint('hunter3', 'app', 'shop')).not.toBe(fingerprint);
});

test('differences say what changed, came and went', () => {
  expect(
    differingParts(
      [
        { name: 'image', value: 'postgres:16' },
        { name: 'same', value: 'x' },
        { name: 'old', value: '1' },
      ],
      [
        { name: 'image', value: 'postgres:17' },
        { name: 'same', value: 'x' },
        { name: 'new', value: '2' },
      ],
    ),
  ).toEqual(['image changed: postgres:16 -> postgres:17', 'old removed: 1', 'new added: 2']);
});
