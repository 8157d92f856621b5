import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { runCli, useNames, type CliResult } from '../support/cli.ts';
import { docker, purposesSince } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { query, sqlScript } from '../support/postgres.ts';
import { nothing, startJob, type Inputs, storeOfJobs } from '../support/runner.ts';
import { runIn } from '../support/storage.ts';
import { useScratch } from '../support/store-bundles.ts';

const scratch = useScratch();
const newName = useNames('encryption');
const key = 'shop';
const marker = 'a-row-that-nobody-else-may-read';
/** Nothing is compressed, so that the row would show. And no script sees a key. */
const seed = `if env | grep AGE-SECRET-KEY; then exit 1; fi
${sqlScript(`create table item as select '${marker}' as name;`)}`;

let identity: string;
let stranger: string;
let keyFile: string;
let store: string;
let inputs: Inputs;

beforeAll(async () => {
  [identity, stranger] = [await generateX25519Identity(), await generateX25519Identity()];
  keyFile = join(scratch.path, 'key.txt');
  await writeFile(keyFile, `# a comment\n${identity}\n`);
  store = await scratch.folder('store');
  inputs = {
    ...{ image: testImage('postgres:17'), key, seed, port: '0', compression: 'none' },
    ...{ store: `file:${store}`, 'encrypt-to': await identityToRecipient(identity) },
  };
});

const volumes: string[] = [];
afterAll(async () => {
  for (const volume of volumes) await docker('volume', 'rm', '--force', volume);
});

async function storedBytes(): Promise<Buffer> {
  const entries = await readdir(store, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Buffer.concat(
    await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name)))),
  );
}

test('the action encrypts what it saves, and opens it with the identity only', async () => {
  {
    await using job = await startJob();
    const step = await job.step({ ...inputs, identity });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(step.outputs['miss-reason']).toBe('no snapshot for this key');
    expect(step.masks).toContain(identity);
    expect(step.log).toContain(`saved ${key}`);
    await step.post();
    expect(await job.leftovers()).toEqual(nothing);
  }
  const names = ['SHA256SUMS', 'SHA256SUMS.age', 'data.tar.age', 'manifest.json.age'];
  expect((await readdir(join(storeOfJobs(store), key))).sort()).toEqual(names);
  const stored = await storedBytes();
  for (const text of [marker, 'PG_VERSION', 'postgres']) expect(stored.includes(text)).toBe(false);

  await using job = await startJob();
  const hit = await job.step({ ...inputs, identity, 'fail-on-miss': 'true' });
  expect(hit).toMatchObject({ exitCode: 0, errors: [], outputs: { 'cache-hit': 'true' } });
  expect(await query(hit.outputs['container'] ?? '', 'select name from item')).toBe(marker);
  await hit.post();
});

test('the action seeds without an identity, and fails with a wrong one before it makes anything', async () => {
  await using job = await startJob();
  const wrong = await job.step({ ...inputs, identity: stranger });
  expect(wrong).toMatchObject({
    exitCode: 1,
    errors: [expect.stringContaining('no identity that was given is one of theirs')],
  });
  const strict = await job.step({ ...inputs, 'fail-on-miss': 'true' });
  expect(strict).toMatchObject({
    exitCode: 1,
    errors: [expect.stringContaining('is encrypted, and no key was given')],
  });
  expect(await purposesSince(job.startMs, job.label)).toEqual([]);
  expect(await job.leftovers()).toEqual(nothing);

  const seeded = await job.step({ ...inputs, identity: '' });
  const reason = 'the snapshot shop is encrypted, and no key was given to open it';
  expect(seeded).toMatchObject({ exitCode: 0, errors: [], warnings: [expect.any(String)] });
  expect(seeded.outputs).toMatchObject({ 'cache-hit': 'false', 'miss-reason': reason });
  expect(seeded.log).toContain('Not saved: an encrypted snapshot that was not opened has this key');
  await seeded.post();
});

test('the sub-actions do the same', async () => {
  await using job = await startJob();
  const volume = newName();
  volumes.push(volume, `${volume}-copy`);
  await runIn(volume, 'echo kept > file');
  const place = { key: volume, store: `file:${store}`, image: testImage('postgres:17') };
  const recipient = inputs['encrypt-to'] ?? '';
  const saved = await job.subStep('save', { ...place, volumes: volume, 'encrypt-to': recipient });
  expect(saved).toMatchObject({ exitCode: 0, errors: [], outputs: { saved: 'true' } });
  const rename = `${volume}=${volume}-copy`;
  const locked = await job.subStep('restore', { ...place, rename });
  expect(locked).toMatchObject({ exitCode: 1, outputs: { 'cache-hit': 'false' } });
  expect(await docker('volume', 'ls', '--quiet', '--filter', `name=${volume}-copy`)).toBe('');
  const secrets = { identity, passphrase: 'correct horse' };
  const restored = await job.subStep('restore', { ...place, rename, ...secrets });
  expect(restored).toMatchObject({ exitCode: 0, errors: [], outputs: { 'cache-hit': 'true' } });
  expect(restored.masks).toEqual(expect.arrayContaining(Object.values(secrets)));
  expect(await runIn(`${volume}-copy`, 'cat file')).toBe('kept\n');
});

test('the command-line tool does the same with --identity, and refuses a secret in its place', async () => {
  const snapvol = (args: readonly string[], env = {}): Promise<CliResult> =>
    runCli([...args, '--store', `file:${store}`], { env });
  const opening = ['--identity', keyFile];
  const [name, volume] = [newName(), newName()];
  volumes.push(volume);

  const recipient = inputs['encrypt-to'] ?? '';
  const make = ['--image', testImage('postgres:17'), '--port', '0', '--encrypt-to', recipient];
  const env = { SNAPVOL_IDENTITY: identity };
  const started = await snapvol(['start', name, ...make, '--key', name, '--seed', seed], env);
  expect(started).toMatchObject({ exitCode: 0 });
  expect((await snapvol(['list'])).stdout).toMatch(new RegExp(`^\\(encrypted\\) +${name} `, 'm'));
  expect((await snapvol(['list', ...opening])).stdout).toMatch(
    new RegExp(`^${name} +${name} `, 'm'),
  );
  for (const args of [
    ['inspect', name],
    ['verify', name],
    ['restore', name, '--volume', volume],
  ]) {
    expect(await snapvol(args)).toMatchObject({ exitCode: exitCodes['snapshot-locked'] });
    const { exitCode, stdout, stderr } = await snapvol([...args, ...opening]);
    expect({ args, exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(stdout).toContain(args[0] === 'restore' ? volume : name);
  }
  expect(await snapvol(['inspect', name], { SNAPVOL_IDENTITY: stranger })).toMatchObject({
    exitCode: exitCodes['wrong-key'],
  });
  const refused = await snapvol(['list', '--identity', identity]);
  expect(refused).toMatchObject({ exitCode: exitCodes['invalid-settings'] });
  expect(refused.stderr).not.toContain(identity);
});
