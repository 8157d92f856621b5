import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { folderName, isAbridged, keyOf } from '../../../src/stores/file-key.ts';
import { oddKeys } from '../../support/store-contract.ts';

/** Keys of every kind: what CI makes, any Unicode, and twins of one another in case, form or length. */
const key = fc.oneof(
  fc.string({
    unit: fc.constantFrom(...'a A z Z 0 1 9 . _ - ~ % / : @ é É'.split(' '), ' '),
    minLength: 1,
    maxLength: 12,
  }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 512, size: 'max' }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  fc.constantFrom(...oddKeys),
);

/** Two keys that are easily taken for one. */
const twins = key.chain((one) =>
  fc.tuple(
    fc.constant(one),
    fc.oneof(
      key,
      fc.constantFrom(
        one.toUpperCase(),
        one.toLowerCase(),
        one.normalize('NFC'),
        one.normalize('NFD'),
        encodeURIComponent(one),
        folderName(one),
        `${one}.`,
        `${one}x`,
      ),
    ),
  ),
);

const runs = { numRuns: 300, seed: 20260728 };

describe('the folder name of a key', () => {
  test('leads back to the key', () => {
    fc.assert(
      fc.property(key, (one) => {
        const name = folderName(one);
        expect(keyOf(name, one)).toBe(one);
        if (!isAbridged(name)) expect(keyOf(name)).toBe(one);
      }),
      runs,
    );
  });

  test('belongs to one key only, also where case does not count', () => {
    fc.assert(
      fc.property(twins, ([one, other]) => {
        const same = folderName(one).toLowerCase() === folderName(other).toLowerCase();
        expect(same).toBe(one === other);
      }),
      runs,
    );
  });

  test('is one harmless, visible path segment of 255 bytes at most', () => {
    fc.assert(
      fc.property(key, (one) => {
        const name = folderName(one);
        expect(name).toMatch(/^[a-z0-9_%-]([a-z0-9._%~-]*[a-z0-9_%-])?$/);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
      }),
      runs,
    );
  });

  test('does not stand for another key than the one kept beside it', () => {
    fc.assert(
      fc.property(twins, ([one, other]) => {
        const name = folderName(one);
        if (isAbridged(name) && one !== other) expect(keyOf(name, other)).toBeUndefined();
        if (isAbridged(name)) expect(keyOf(name)).toBeUndefined();
      }),
      runs,
    );
  });

  test.each([
    ['snapvol-v1-postgres-17-x64-0a1b2c', 'snapvol-v1-postgres-17-x64-0a1b2c'],
    ['Linux-X64', '%4cinux-%5864'],
    ['feature/login: 100%', 'feature%2flogin%3a%20100%25'],
    ['.', '%2e'],
    ['..', '%2e%2e'],
    ['...', '%2e.%2e'],
    ['.hidden', '%2ehidden'],
    ['1.2.', '1.2%2e'],
    ['é', '%c3%a9'],
    ['🐘', '%f0%9f%90%98'],
  ])('is the same today and tomorrow: %j', (one, name) => {
    expect(folderName(one)).toBe(name);
  });

  test('is whole up to 255 bytes, then its beginning and the sha256 of the key', () => {
    expect(folderName('a'.repeat(255))).toBe('a'.repeat(255));
    expect(folderName('A'.repeat(85))).toBe('%41'.repeat(85));
    expect(folderName('a'.repeat(256))).toMatch(/^a{160}~[0-9a-f]{64}$/);
    // printf 'é%.0s' $(seq 512) | sha256sum
    const sha256 = 'eb1dac068118a962d32331d185228c80c259c95630cefe7abae82a089d9ee68e';
    expect(folderName('é'.repeat(512))).toBe(`${'%c3%a9'.repeat(27).slice(0, 160)}~${sha256}`);
  });

  test.each([
    '',
    '.',
    '..',
    '.tmp-host-1-0123456789abcdef',
    'lost+found',
    'README.MD',
    'two words',
    '%2F',
    '%61',
    '%',
    '%zz',
    '%c3',
    '%ff',
    `${'a'.repeat(160)}~`,
  ])('is nothing that others would call a folder: %j', (name) => {
    expect(keyOf(name, 'app-1')).toBeUndefined();
  });

  test.each(['', '\ud83d', 'half \udc18'])('does not exist for %j, which is no key', (one) => {
    expect(() => folderName(one)).toThrow(expect.objectContaining({ code: 'invalid-settings' }));
  });
});
