import { describe, expect, test } from '@jest/globals';

import { AppError } from '../../../src/errors.ts';
import { decodeManifest, encodeManifest } from '../../../src/snapshot/manifest.ts';
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
    ['the fields of another kind', { ...makeVolumesManifest(), seedSeconds: 1 }],
    ['a list instead of an object', []],
    ['null', null],
  ])('with %s is corrupt', (_, value) => {
    expect(refusal(JSON.stringify(value))).toMatchObject({ code: 'snapshot-corrupt' });
  });
});
