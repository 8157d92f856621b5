import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { writersOf } from '../../src/snapshot/contents.ts';
import { decodeManifest } from '../../src/snapshot/manifest-json.ts';
import type { Manifest } from '../../src/snapshot/manifest.ts';
import { containerLog, docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { makeVolumesManifest } from '../support/manifests.ts';
import { checksum, query, rowCount, seedScript } from '../support/postgres.ts';
import { startJob, storeOfJobs } from '../support/runner.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

const run = promisify(execFile);
const page = readFileSync(resolve(import.meta.dirname, '../../docs/snapshot-format.md'), 'utf8');

/** The commands that the page marks, in order. */
const commands = [...page.matchAll(/^<!-- by hand -->\s+```sh\n([^]*?)^```$/gm)].map(
  ([, block = '']) => block,
);

let scratch: ScratchFolder;
let bundle: string;
let manifest: Manifest;
let sum: string;
beforeAll(async () => {
  scratch = await createScratch();
  const store = await scratch.folder('store');
  await using job = await startJob();
  const image = testImage('postgres:17');
  const inputs = { image, seed: seedScript, port: '0', key: 'Shop: 1' };
  const { exitCode, outputs } = await job.step({ ...inputs, store: `file:${store}` });
  expect(exitCode).toBe(0);
  sum = await checksum(outputs['container'] ?? '');
  bundle = join(storeOfJobs(store), '%53hop%3a%201');
  manifest = decodeManifest(await readFile(join(bundle, 'manifest.json'), 'utf8'));
});
afterAll(async () => {
  await scratch.remove();
});

test('a snapshot is verified and restored by hand, with the very commands of the page', async () => {
  expect(commands).toHaveLength(4);
  const name = `snapvol-by-hand-${randomBytes(4).toString('hex')}`;
  const variables = {
    IMAGE: writersOf(manifest)[0]?.image.reference,
    MOUNT_PATH: manifest.volumes[0]?.mountPath ?? '',
    VOLUME: name,
  };
  try {
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', commands.join('\n')], {
      cwd: bundle,
      env: { ...process.env, ...variables },
    });
    expect(stdout).toContain('manifest.json: OK\ndata.tar.zst: OK\n');
    expect(stdout).toMatch(/^-rw------- \d+\/\d+ .* \.\/PG_VERSION$/m);
    expect(stdout).toMatch(/^127\.0\.0\.1:\d+$/m);
    expect(await checksum(name)).toBe(sum);
    expect(await query(name, 'select count(*) from item')).toBe(String(rowCount));
    const log = await containerLog(name);
    expect(log).toContain('Skipping initialization');
    expect(log).not.toMatch(/not properly shut down|recovery/);
  } finally {
    await docker('rm', '--force', '--volumes', name);
    await docker('volume', 'rm', '--force', name);
  }
});

test('the page has every field of the manifest, and no other', () => {
  const section = page.slice(page.indexOf('## `manifest.json`'));
  const documented = [...section.matchAll(/^\| `([\w.[\]]+)` +\|/gm)].map(
    ([, field = '']) => field,
  );
  const kept = makeVolumesManifest();
  const origin = { type: 'bind', folder: '/srv/data' };
  const fields = [manifest, kept, { volumes: [{ origin }] }].flatMap((each) => fieldsOf(each));
  expect(documented.sort()).toEqual(
    [...new Set([...fields, 'keyParts', 'writers', 'engine.largestTables'])].sort(),
  );
});

/** Those that may have any names in them, or are those of a database once more. */
const wholeFields = [
  ...['provenance', 'volumes[].origin.options', 'volumes[].origin.labels'],
  ...['writers[].image', 'writers[].consistency'],
];

/** `image.id`, `volumes[].name` */
function fieldsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value) && typeof value[0] === 'object') return fieldsOf(value[0], `${path}[]`);
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isRecord || wholeFields.includes(path)) return [path];
  return Object.entries(value).flatMap(([name, inner]) =>
    fieldsOf(inner, path === '' ? name : `${path}.${name}`),
  );
}
