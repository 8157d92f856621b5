import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { matcherOf } from '../../../src/runtime/path-pattern.ts';
import { excluding } from '../../../src/runtime/pipe-scripts.ts';

const matches = (pattern: string, path: string): boolean =>
  matcherOf([{ pattern, reason: '' }])(path);

test.each([
  ['pg_wal/0[1-9A-F]?', './pg_wal/0A0', true],
  ['pg_wal/0[1-9A-F]?', './pg_wal/000', false],
  ['pg_wal/0[1-9A-F]?', './pg_wal/0a0', false],
  ['pg_wal/0[1-9A-F]?', './pg_wal/0A0.partial', false],
  ['pg_wal/0[1-9A-F]?', './pg_wal/archive_status/0A0', false],
  ['pg_wal/0[1-9A-F]?', './other/pg_wal/0A0', false],
  ['pg_notify/*', './pg_notify/', false],
  ['pg_notify/*', './pg_notify/.hidden', true],
  ['pg_notify/*', './pg_notify/folder/file', true],
  ['pg_notify/*', './pg_notify_other', false],
  ['*.pid', './host.name.pid', true],
  ['*.pid', './folder/x.pid', false],
  ['*.pid', './x_pid', false],
  ['#innodb_temp/temp_*.ibt', './#innodb_temp/temp_1.ibt', true],
  ['*', './', false],
])('"%s" and "%s": %s', (pattern, path, expected) => {
  expect(matches(pattern, path)).toBe(expected);
});

test.each(['a\\b', 'a[!b]', 'a[', 'a b', 'a$', '{a}', '\u00e4'])(
  'what two programs could read in two ways is no pattern: %s',
  (pattern) => {
    expect(() => matcherOf([{ pattern, reason: '' }])).toThrow('not a pattern of paths');
  },
);

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'snapvol-pattern-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

test('GNU tar leaves out the same', () => {
  const names = ['a', 'b', '.a', 'aB', 'A1', '#a', 'a\nb', 'a.b', 'a*', '\u00e4', '-a'];
  for (const path of names.flatMap((name) => [`${name}_`, ...names.map((n) => `${name}/${n}`)])) {
    mkdirSync(join(dir, dirname(path)), { recursive: true });
    writeFileSync(join(dir, path), '');
  }
  const list = (patterns: readonly string[]): string[] => {
    const leaveOut = patterns.map((pattern) => ({ pattern, reason: '' }));
    const output = execFileSync(
      'sh',
      [
        '-c',
        'tar --create --file=- "$@" . | tar --list --quoting-style=escape --file=-',
        'sh',
      ].concat(excluding(leaveOut)),
      { cwd: dir, env: { ...process.env, LC_ALL: 'C' } },
    );
    return output.toString('latin1').split('\n').filter(Boolean).map(unescaped).sort();
  };
  const everything = list([]);
  expect(everything.length).toBeGreaterThan(130);

  const part = fc.constantFrom('*', '?', '[a-z]', '[A-F0-9]', '[-a]', '.', 'a', 'b', 'B', '#', '_');
  const segment = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
  const pattern = fc.array(segment, { minLength: 1, maxLength: 2 }).map((all) => all.join('/'));
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 3 }), (patterns) => {
      const isLeftOut = matcherOf(patterns.map((each) => ({ pattern: each, reason: '' })));
      expect(list(patterns)).toEqual(everything.filter((path) => !isLeftOut(path)));
    }),
    { numRuns: 60 },
  );
});

/** `\n`, `\303` and `\\`, as GNU tar quotes them. */
function unescaped(name: string): string {
  return name.replaceAll(/\\(n|\d{3}|\\)/g, (_, code: string) =>
    code === 'n' ? '\n' : code === '\\' ? code : String.fromCharCode(Number.parseInt(code, 8)),
  );
}
