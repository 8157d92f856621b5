import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { createScriptRunner } from '../../../src/runtime/bash-script.ts';

let scratchDir = '';
beforeEach(() => {
  scratchDir = mkdtempSync(join(tmpdir(), 'script-'));
});
afterEach(() => {
  rmSync(scratchDir, { recursive: true });
});

test("a script gets its own connection, whatever the caller's environment says of others", async () => {
  const { PATH } = process.env;
  const env = {
    PATH,
    PGSERVICE: 'prod',
    PGHOSTADDR: '10.0.0.1',
    PGHOST: 'prod',
    SNAPVOL_BASE_KEY: 'old',
  };
  const run = createScriptRunner({ scratchDir, cwd: scratchDir, env, outputFd: 2 });
  const script = { text: 'env > seen', env: { PGHOST: '127.0.0.1' } };
  expect(await run(script, new AbortController().signal)).toBe(0);
  const seen = readFileSync(join(scratchDir, 'seen'), 'utf8');
  expect(seen).toContain('PGHOST=127.0.0.1\n');
  expect(seen).not.toMatch(/PGSERVICE|PGHOSTADDR|SNAPVOL_BASE_KEY/);
});

test('a script ends at its first failing command, with that exit code', async () => {
  const run = createScriptRunner({ scratchDir, cwd: scratchDir, env: process.env, outputFd: 2 });
  const script = { text: '(exit 3) | true\ntouch not-reached', env: {} };
  expect(await run(script, new AbortController().signal)).toBe(3);
});
