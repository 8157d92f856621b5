import { globSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { AppError, messageOf, systemError, toAppError } from '../../src/errors.ts';

/** As the system's errors come out of Node. */
function refused(code: string): Error {
  return Object.assign(new Error(`${code}: said by the system, open '/a/b'`), { code });
}

describe('what ends as `internal`', () => {
  test('is our own mistake, and says so', () => {
    expect(toAppError(new TypeError('x is not a function'))).toMatchObject({
      code: 'internal',
      message: 'a bug in snapvol: x is not a function',
      hint: expect.stringContaining('/issues'),
    });
  });

  test.each(Object.keys(constants.errno))('is not what the system refused: %s', (code) => {
    expect(toAppError(refused(code))).toMatchObject({
      code: 'system-error',
      message: `the operating system refused it: ${code}: said by the system, open '/a/b'`,
      hint: expect.stringMatching(/^[A-Z]/),
    });
  });

  test('is no error of ours, no cancellation, and no code of Node for a wrong call', () => {
    const error = new AppError('port-taken', 'port 1 is taken');
    expect(toAppError(error)).toBe(error);
    expect(toAppError(AbortSignal.abort().reason).code).toBe('cancelled');
    expect(toAppError(refused('ERR_INVALID_ARG_TYPE')).code).toBe('internal');
    expect(toAppError(refused('ERR_FS_FILE_TOO_LARGE')).code).toBe('system-error');
  });

  test('is thrown where one file of ours has called another one wrongly, and nowhere else', async () => {
    const src = resolve(import.meta.dirname, '../../src');
    const throwing: string[] = [];
    for (const file of globSync('**/*.ts', { cwd: src })) {
      const found = (await readFile(join(src, file), 'utf8')).match(/AppError\(\s*'internal'/g);
      if (found) throwing.push(`${file} ${found.length}`);
    }
    expect(throwing.sort()).toEqual([
      'action/hand-over.ts 1', // a child process without an id: its own error comes first
      'errors.ts 1', // whatever nobody has translated
      'runtime/path-pattern.ts 1', // patterns are those of the engines
      'stores/file.ts 2', // folders are those of the use cases
    ]);
  });
});

test('what the system refused names what was done, where the system does not', async () => {
  const found = await readFile('/nonexistent/file').catch((error: unknown) => error);
  expect(toAppError(found).message).toContain("open '/nonexistent/file'");
  const made = await mkdir('/proc/snapvol').catch((error: unknown) => error);
  expect(toAppError(made).message).toContain("mkdir '/proc/snapvol'");
  expect(systemError(refused('ENOSPC'), 'write /a/b')?.message).toMatch(
    /^could not write \/a\/b: /,
  );
  expect(systemError(new Error('not the system'))).toBeUndefined();
});

test('what failed first is told, and not the clean-up after it', () => {
  const first = new AppError('seed-failed', 'the seed failed', { hint: 'See why' });
  // As `await using` throws it.
  expect(toAppError(new SuppressedError(refused('EBUSY'), first))).toMatchObject({
    ...{ code: 'seed-failed', message: 'the seed failed', hint: 'See why' },
    details: [expect.stringContaining('EBUSY: said')],
  });
});

test('an error of several tries has the words of each', () => {
  expect(messageOf(new AggregateError([new Error('one'), new Error('two')]))).toBe('one; two');
});
