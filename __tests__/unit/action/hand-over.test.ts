import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { handOver, type UploadOrder } from '../../../src/action/hand-over.ts';
import { useScratch } from '../../support/store-bundles.ts';

const scratch = useScratch();

test('what cannot be handed over stays where it is, and leaves nothing', async () => {
  const order: UploadOrder = {
    key: 'shop',
    store: { kind: 'actions-cache' },
    passphrase: undefined,
    env: {},
  };
  const tempDir = await scratch.folder('temp');
  const missing = join(scratch.path, 'missing');
  let started = 0;
  const onStarted = (): void => {
    started += 1;
  };
  await expect(handOver(missing, order, { tempDir, env: {} }, onStarted)).rejects.toMatchObject({
    code: 'ENOENT',
  });
  // No process at all: its folder cannot be made.
  await expect(
    handOver(missing, order, { tempDir: missing, env: {} }, onStarted),
  ).rejects.toMatchObject({ code: 'ENOENT' });
  expect(started).toBe(0);
  const bundle = await scratch.bundle('shop');
  const noRoom = (): void => {
    throw new Error('no room for the state of the step');
  };
  await expect(handOver(bundle, order, { tempDir, env: {} }, noRoom)).rejects.toThrow('no room');
  expect(await readdir(bundle)).toHaveLength(3);
  expect(await readdir(tempDir)).toEqual([]);
});
