import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import type { RawInputs } from '../../../src/settings.ts';
import type { KeyParts } from '../../../src/snapshot/key.ts';
import { makePlan } from '../../../src/usecases/plan.ts';
import { makeImage } from '../../support/image-facts.ts';
import { makeSettings } from '../../support/settings.ts';

let cwd = '';
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'plan-'));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

test('arguments and variables that may be secrets are in the key, but nowhere to be read', async () => {
  const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
  const who = { owner, provenance: {}, cwd, untrusted: undefined };
  const partsOf = async (raw: RawInputs): Promise<KeyParts> =>
    (await makePlan(makeSettings(raw), makeImage(), who)).keyParts;
  const raw = { args: '-c ssl_passphrase_command=hunter2', env: 'API_TOKEN=hunter2' };
  const parts = await partsOf(raw);
  expect(JSON.stringify(parts)).not.toContain('hunter2');
  // sha256sum of hunter2
  expect(JSON.stringify(parts)).not.toContain('f52fbd32b2b3b86f');
  expect(parts).not.toEqual(await partsOf({ ...raw, env: 'API_TOKEN=hunter3' }));
  expect(parts).not.toEqual(await partsOf({ ...raw, args: '-c ssl_passphrase_command=hunter3' }));
  expect(await partsOf({ args: '-c "a b"' })).not.toEqual(await partsOf({ args: '-c a b' }));
  expect(await partsOf({ trim: 'false' })).toContainEqual({ name: 'trim', value: 'false' });
  expect(await partsOf({ args: '-c jit=off' })).toContainEqual({
    name: 'args',
    value: '["-c","jit=off"]',
  });
});

test('arguments of ours come before the first option of the user', async () => {
  const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
  const who = { owner, provenance: {}, cwd, untrusted: undefined };
  const argsOf = async (args: string): Promise<readonly string[]> => {
    const settings = makeSettings({ image: 'redis:8', args });
    return (await makePlan(settings, makeImage(), who)).args;
  };
  const ours = ['--save', '', '--appendfsync', 'no'];
  expect(await argsOf('--appendonly yes')).toEqual([...ours, '--appendonly', 'yes']);
  expect(await argsOf('redis-server /etc/redis.conf --appendonly yes')).toEqual([
    ...['redis-server', '/etc/redis.conf', ...ours, '--appendonly', 'yes'],
  ]);
  expect(await argsOf('/etc/redis.conf')).toEqual(['/etc/redis.conf', ...ours]);
});

test('init files of one name are refused: the second would replace the first', async () => {
  for (const folder of ['a', 'b']) {
    mkdirSync(join(cwd, folder));
    writeFileSync(join(cwd, folder, 'schema.sql'), folder);
  }
  const owner = { run: 'r'.repeat(8), name: 'shop', scope: 'cli' };
  const who = { owner, provenance: {}, cwd, untrusted: undefined };
  const settings = makeSettings({ init: 'a/schema.sql\nb/schema.sql' });
  await expect(makePlan(settings, makeImage(), who)).rejects.toMatchObject({
    code: 'invalid-settings',
    message: 'init: a/schema.sql and b/schema.sql have the same name',
  });
});
