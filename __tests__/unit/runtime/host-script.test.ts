import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { createScriptRunner, type ScriptOptions } from '../../../src/runtime/host-script.ts';
import { createRecordingLog } from '../../support/recording-log.ts';

let scratchDir = '';
let log = createRecordingLog();
beforeEach(() => {
  scratchDir = mkdtempSync(join(tmpdir(), 'script-'));
  log = createRecordingLog();
});
afterEach(() => {
  rmSync(scratchDir, { recursive: true });
});

/** Runs `text` in the scratch folder. */
async function run(text: string, options: Partial<ScriptOptions> = {}, env = {}): Promise<number> {
  const runScript = createScriptRunner({
    ...{ log, scratchDir, cwd: scratchDir, env: process.env, outputFd: 2 },
    ...options,
  });
  return runScript({ text, env }, new AbortController().signal);
}

/** A PATH with these programs alone. */
function pathOf(...programs: string[]): string {
  const folder = join(scratchDir, 'bin');
  mkdirSync(folder);
  for (const program of programs) {
    const found = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' });
    symlinkSync(found.trim(), join(folder, program));
  }
  return folder;
}

test("a script gets its own connection, whatever the caller's environment says of others", async () => {
  const { PATH } = process.env;
  const env = {
    PATH,
    PGSERVICE: 'prod',
    PGHOSTADDR: '10.0.0.1',
    PGHOST: 'prod',
    SNAPVOL_BASE_KEY: 'old',
  };
  expect(await run('env > seen', { env }, { PGHOST: '127.0.0.1' })).toBe(0);
  const seen = readFileSync(join(scratchDir, 'seen'), 'utf8');
  expect(seen).toContain('PGHOST=127.0.0.1\n');
  expect(seen).not.toMatch(/PGSERVICE|PGHOSTADDR|SNAPVOL_BASE_KEY/);
});

test('a script ends at its first failing command, with that exit code', async () => {
  expect(await run('(exit 3) | true\ntouch not-reached')).toBe(3);
  expect(log.lines).toEqual([]);
});

test('without bash a script is run by sh, which the log says, and still ends at its first failing command', async () => {
  const env = { PATH: pathOf('sh', 'touch') };
  expect(await run('touch reached\n(exit 3)\ntouch not-reached', { env })).toBe(3);
  expect(existsSync(join(scratchDir, 'reached'))).toBe(true);
  expect(existsSync(join(scratchDir, 'not-reached'))).toBe(false);
  expect(log.lines).toEqual([expect.stringMatching(/no bash here.*"sh -e"/)]);
});

test.each([
  ['without any shell', () => ({ env: { PATH: pathOf() } })],
  ['in a working folder that is gone', () => ({ cwd: join(scratchDir, 'gone') })],
])('a script that cannot be run %s is told as such, and leaves nothing', async (_, options) => {
  await expect(run('true', options())).rejects.toMatchObject({
    code: 'invalid-settings',
    hint: expect.stringContaining('bash or sh in PATH'),
  });
  expect(readdirSync(scratchDir).filter((name) => name.startsWith('script-'))).toEqual([]);
});

test('a script that cannot be written is told with the folder and its variable', async () => {
  const gone = join(scratchDir, 'gone');
  await expect(run('true', { scratchDir: gone })).rejects.toMatchObject({
    code: 'invalid-settings',
    message: expect.stringContaining(gone),
    hint: expect.stringContaining('TMPDIR'),
  });
});
