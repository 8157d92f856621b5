import { describe, expect, test } from '@jest/globals';

import { AppError } from '../../../src/errors.ts';
import { decodeManifest, encodeManifest } from '../../../src/snapshot/manifest-json.ts';
import { makeManifest, makeVolumesManifest } from '../../support/manifests.ts';

function refusal(text: string): AppError {
  try {
    decodeManifest(text);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('a manifest', () => {
  test('is read as it was written', () => {
    for (const manifest of [makeManifest(), makeVolumesManifest()]) {
      expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest);
    }
  });

  test('of another format version is incompatible, whatever else it holds', () => {
    expect(refusal('{"format": 2, "novel": true}')).toMatchObject({
      code: 'snapshot-incompatible',
      message: expect.stringContaining('format 2'),
    });
  });

  test('that is not JSON is corrupt', () => {
    expect(refusal('{"format": 1')).toMatchObject({ code: 'snapshot-corrupt' });
  });

  const [volume] = makeManifest().volumes;
  if (!volume) throw new Error('the sample has a volume');
  const withTables = (count: number, name: string) => {
    const { engine } = makeManifest();
    const largestTables = Array(count).fill({ name, bytes: 1 });
    return makeManifest({ engine: { ...engine, largestTables } });
  };
  const archiveNamed = (archive: string) => makeManifest({ volumes: [{ ...volume, archive }] });

  test('may have names that mean something elsewhere', () => {
    const names = [
      archiveNamed('con'),
      archiveNamed('constructor'),
      makeManifest({ name: '\u65e5' }),
    ];
    for (const manifest of names)
      expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest);
  });

  test('cannot reach the prototypes of objects', () => {
    const text = encodeManifest(makeManifest());
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const inTop = text.replace('{', `{"${key}": {"polluted": "yes"},`);
      const inRecord = text.replace(
        '"provenance": {',
        `"provenance": {"${key}": {"polluted": "yes"}`,
      );
      for (const hostile of [inTop, inRecord]) {
        expect(hostile).not.toBe(text);
        let read: unknown;
        try {
          read = decodeManifest(hostile);
        } catch (error) {
          expect(error).toMatchObject({ code: 'snapshot-corrupt' });
          continue;
        }
        // What is not known is not taken over.
        expect(read).toEqual(makeManifest());
      }
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    }
  });

  test('that is quoted in a message cannot steer a terminal', () => {
    const { message } = refusal(encodeManifest(makeManifest()).replace('"stop"', '"\\u001b[31m"'));
    expect(message).toContain('consistency.method');
    expect(message).not.toMatch(/\p{Cc}/u);
  });

  test('that is too large is not even parsed', () => {
    expect(refusal(' '.repeat(100_000_000)).message).toBe('manifest.json is too large to be one');
  });

  test.each<[string, unknown]>([
    ['a missing field', { ...makeManifest(), image: undefined }],
    ['a field of another type', { ...makeManifest(), key: 7 }],
    ['an unknown field', { ...makeManifest(), extra: 1 }],
    ['no volume', makeManifest({ volumes: [] })],
    ['an archive name that leads out', makeManifest({ volumes: [{ ...volume, archive: '../x' }] })],
    ['a hidden archive name', makeManifest({ volumes: [{ ...volume, archive: '.x' }] })],
    ['a sha256 that is none', makeManifest({ volumes: [{ ...volume, sha256: 'abc' }] })],
    ['a negative size', makeManifest({ volumes: [{ ...volume, tarBytes: -1 }] })],
    ['a fraction of a byte', makeManifest({ volumes: [{ ...volume, archiveBytes: 0.5 }] })],
    ['a kind that is none', { ...makeManifest(), kind: 'folder' }],
    [
      'a name that is there twice',
      makeManifest({ volumes: [volume, { ...volume, archive: 'b.tar' }] }),
    ],
    [
      'an archive that is there twice',
      makeManifest({ volumes: [volume, { ...volume, name: 'b' }] }),
    ],
    ['the name of the manifest for an archive', archiveNamed('manifest.json')],
    ['the name of the sums for an archive', archiveNamed('SHA256SUMS')],
    [
      'more bytes than can be counted',
      makeManifest({ volumes: [{ ...volume, tarBytes: 2 ** 60 }] }),
    ],
    ['a text of 70,000 characters', makeManifest({ createdBy: 'x'.repeat(70_000) })],
    [
      '20,000 notes',
      makeManifest({ volumes: [{ ...volume, notes: Array<string>(20_000).fill('') }] }),
    ],
    [
      '20,000 facts of where it was made',
      makeManifest({
        provenance: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [i, ''])),
      }),
    ],
    ['20,000 volumes', makeManifest({ volumes: Array<typeof volume>(20_000).fill(volume) })],
    ['the fields of another kind', { ...makeVolumesManifest(), seedSeconds: 1 }],
    ['a list instead of an object', []],
    ['11 largest tables', withTables(11, 'item')],
    ['a table with a name of 201 characters', withTables(1, 'x'.repeat(201))],
    ['a time without end', JSON.parse('{"seedSeconds": 1e999}')],
    ['null', null],
  ])('with %s is corrupt', (_, value) => {
    expect(refusal(JSON.stringify(value))).toMatchObject({ code: 'snapshot-corrupt' });
  });
});
