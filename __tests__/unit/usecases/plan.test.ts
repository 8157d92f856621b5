import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

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
