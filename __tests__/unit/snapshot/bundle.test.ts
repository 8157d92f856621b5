import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import {
  bundleBytes,
  openBundle,
  verifyArchives,
  writeBundle,
} from '../../../src/snapshot/bundle.ts';
import { makeManifest } from '../../support/manifests.ts';

let dir = '';
const signal = new AbortController().signal;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'bundle-'));
  writeFileSync(join(dir, 'data.tar.zst'), 'hello');
  await writeBundle(dir, makeManifest());
});

afterEach(() => {
  rmSync(dir, { recursive: true });
});

describe('a bundle', () => {
  test('opens as it was written', async () => {
    const bundle = await openBundle(dir);
    expect(bundle.manifest).toEqual(makeManifest());
    expect(bundle.digest).toMatch(/^[0-9a-f]{64}$/);
    await verifyArchives(bundle, signal);
    const sizes = ['manifest.json', 'SHA256SUMS', 'data.tar.zst'].map(
      (f) => readFileSync(join(dir, f)).length,
    );
    expect(await bundleBytes(bundle)).toBe(sizes.reduce((a, b) => a + b));
  });

  test('is verified by sha256sum as well', () => {
    const output = execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], {
      cwd: dir,
      encoding: 'utf8',
    });
    expect(output).toBe('manifest.json: OK\ndata.tar.zst: OK\n');
  });

  test.each<[string, () => void]>([
    [
      'a manifest with one other byte',
      () => {
        replaceIn('manifest.json', '"seedSeconds": 1.5', '"seedSeconds": 2.5');
      },
    ],
    [
      'no manifest',
      () => {
        rmSync(join(dir, 'manifest.json'));
      },
    ],
    [
      'no SHA256SUMS',
      () => {
        rmSync(join(dir, 'SHA256SUMS'));
      },
    ],
    [
      'one other byte in the line of an archive',
      () => {
        replaceIn('SHA256SUMS', 'data.tar', 'data.tbr');
      },
    ],
    [
      'no archive',
      () => {
        rmSync(join(dir, 'data.tar.zst'));
      },
    ],
    [
      'a longer archive',
      () => {
        appendFileSync(join(dir, 'data.tar.zst'), '!');
      },
    ],
    [
      'an empty archive',
      () => {
        writeFileSync(join(dir, 'data.tar.zst'), '');
      },
    ],
    [
      'a manifest of 5 MB',
      () => {
        appendFileSync(join(dir, 'manifest.json'), ' '.repeat(5_000_000));
      },
    ],
    [
      'a link instead of an archive',
      () => {
        rmSync(join(dir, 'data.tar.zst'));
        writeFileSync(join(dir, 'elsewhere'), 'hello');
        symlinkSync('elsewhere', join(dir, 'data.tar.zst'));
      },
    ],
    [
      'a manifest of 100 MB',
      () => {
        writeFileSync(join(dir, 'manifest.json'), Buffer.alloc(100_000_000, ' '));
      },
    ],
    [
      'a file that the manifest does not name',
      () => {
        writeFileSync(join(dir, 'more.tar'), 'hello');
      },
    ],
    [
      'a folder in it',
      () => {
        mkdirSync(join(dir, 'con'));
      },
    ],
    [
      'a SHA256SUMS with another digest of an archive',
      () => {
        replaceIn('SHA256SUMS', '2cf24dba', '2cf24dbb');
      },
    ],
    [
      'a SHA256SUMS that lacks an archive',
      () => {
        const [manifestLine = ''] = readFileSync(join(dir, 'SHA256SUMS'), 'utf8').split('\n');
        writeFileSync(join(dir, 'SHA256SUMS'), `${manifestLine}\n`);
      },
    ],
    [
      'a SHA256SUMS that lists more',
      () => {
        appendFileSync(join(dir, 'SHA256SUMS'), `${'0'.repeat(64)}  more.tar\n`);
      },
    ],
  ])('with %s does not open', async (_, damage) => {
    damage();
    await expect(openBundle(dir)).rejects.toMatchObject({ code: 'snapshot-corrupt' });
  });

  test('with a changed archive of the same size opens, and does not verify', async () => {
    writeFileSync(join(dir, 'data.tar.zst'), 'hellO');
    const bundle = await openBundle(dir);
    await expect(verifyArchives(bundle, signal)).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('data.tar.zst is damaged'),
    });
  });

  test('whose archive the system does not give is damaged where the disk fails', async () => {
    const bundle = await openBundle(dir);
    const archive = join(dir, 'data.tar.zst');
    rmSync(archive);
    await expect(verifyArchives(bundle, signal)).rejects.toMatchObject({
      code: 'store-unavailable',
      message: expect.stringContaining('data.tar.zst cannot be read: ENOENT'),
    });
    symlinkSync('/proc/self/mem', archive); // its first byte cannot be read, as on a bad disk
    await expect(verifyArchives(bundle, signal)).rejects.toMatchObject({
      code: 'snapshot-corrupt',
      message: expect.stringContaining('data.tar.zst cannot be read: EIO'),
    });
  });

  test('tells how far it has been read, and stops when it is told to', async () => {
    const bundle = await openBundle(dir);
    let bytes = 0;
    await verifyArchives(bundle, signal, (more) => {
      bytes += more;
    });
    expect(bytes).toBe(5);
    const stopped = verifyArchives(bundle, AbortSignal.abort());
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
  });
});

function replaceIn(file: string, from: string, to: string): void {
  const text = readFileSync(join(dir, file), 'utf8');
  expect(text).toContain(from);
  writeFileSync(join(dir, file), text.replace(from, to));
}
