import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { resetInputNames } from '../../src/action/reset.ts';
import { AppError } from '../../src/errors.ts';
import {
  parseRestoreSettings,
  parseSaveSettings,
  restoreInputNames,
  saveInputNames,
  saveRequest,
} from '../../src/volume-settings.ts';

type Raw = Readonly<Record<string, string>>;

const context = { defaultStore: 'file:/s', cwd: '/home/shop', home: '/home/me' };
const parseSave = (raw: Raw) => parseSaveSettings(raw, context);
const parseRestore = (raw: Raw) => parseRestoreSettings(raw, context);

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid-settings') return error.details;
    throw error;
  }
  return [];
}

const saveProblems = (raw: Raw): readonly string[] => problemsOf(() => parseSave(raw));
const restoreProblems = (raw: Raw): readonly string[] => problemsOf(() => parseRestore(raw));

test.each([
  ['save', [...saveInputNames, 'token', 'passphrase']],
  ['restore', [...restoreInputNames, 'token', 'identity', 'passphrase']],
  ['reset', resetInputNames],
])(
  'the inputs are the same in %s/action.yml and in the settings, but for the secret ones',
  (folder, names) => {
    const file = join(import.meta.dirname, '../..', folder, 'action.yml');
    // A cast: what is read of it is compared.
    const action = parse(readFileSync(file, 'utf8')) as { inputs: Record<string, unknown> };
    expect(Object.keys(action.inputs).sort()).toEqual(names.toSorted());
  },
);

describe('the settings of save', () => {
  test('have defaults', () => {
    expect(parseSave({ volumes: 'shop_data' })).toMatchObject({
      ...{
        name: undefined,
        volumes: ['shop_data'],
        container: undefined,
        composeProject: undefined,
      },
      ...{ includeBinds: false, overwrite: false, save: 'auto', image: undefined, login: {} },
      ...{
        failOnSaveError: false,
        allowUnclean: [],
        copy: { copy: 'auto', key: undefined, quiesce: 'stop' },
      },
    });
  });

  test('take volumes by name, and folders relative to where it runs', () => {
    const volumes = 'shop_data\n  /srv/files/ \n./db\n.\n..\n../x\n.hidden\n\n';
    expect(parseSave({ volumes }).volumes).toEqual([
      ...['shop_data', '/srv/files', '/home/shop/db', '/home/shop', '/home', '/home/x', '.hidden'],
    ]);
  });

  test('have the home folder for "~/", and nobody else\'s', () => {
    expect(parseSave({ volumes: '~/db\n~\n./~x' }).volumes).toEqual([
      ...['/home/me/db', '/home/me', '/home/shop/~x'],
    ]);
    expect(saveProblems({ container: 'db', volumes: '~root/db', store: 'file:~root/s' })).toEqual([
      expect.stringMatching(/^store: "~root\/s": of "~" only "~\/" is understood\. .*in full/),
      expect.stringMatching(/^volumes: "~root\/db": of "~" only "~\/" is understood/),
    ]);
    const homeless = { ...context, home: undefined };
    expect(
      problemsOf(() => parseSaveSettings({ container: 'db', volumes: '~/db' }, homeless)),
    ).toEqual([
      expect.stringMatching(/^volumes: "~\/db": there is no home folder here\. Set HOME/),
    ]);
  });

  test('hold what is given of a login, and nothing else', () => {
    expect(parseSave({ container: 'db', user: 'me', password: ' secret ' }).login).toEqual({
      user: 'me',
      password: 'secret',
    });
  });

  test('call a snapshot after what it is made of', () => {
    const nameOf = (raw: Raw): string => saveRequest(parseSave(raw)).name;
    expect(nameOf({ volumes: 'shop_data\nother' })).toBe('shop_data');
    expect(nameOf({ volumes: '/srv/files/' })).toBe('files');
    expect(nameOf({ volumes: 'a', container: 'db' })).toBe('db');
    expect(nameOf({ container: 'db', 'compose-project': 'shop' })).toBe('shop');
    expect(nameOf({ volumes: 'a', name: 'Any Name' })).toBe('Any Name');
    expect(nameOf({ volumes: '/' })).toBe('root');
  });

  test('tell every problem at once', () => {
    const nothing =
      'nothing to save: give "volumes", "container" or "compose-project", or the "name" of a database that was started';
    expect(saveProblems({})).toEqual([nothing]);
    expect(saveProblems({ 'include-binds': 'true' })).toEqual([
      nothing,
      'include-binds: goes with "container" or "compose-project"',
    ]);
    expect(saveProblems({ name: 'shop', 'include-binds': 'true' })).toEqual([
      'include-binds: goes with "container" or "compose-project"',
    ]);
    expect(saveProblems({ name: 'shop', 'allow-unclean': 'worker' })).toEqual([
      'allow-unclean: goes with "volumes", "container" or "compose-project"',
    ]);
    expect(saveProblems({ container: 'x', quiesce: 'pause', 'allow-unclean': 'worker' })).toEqual([
      'allow-unclean: goes with "quiesce" stop, which alone asks for exit codes',
    ]);
    expect(saveProblems({ name: 'A Shop' })).toEqual([
      'name: "A Shop" must be 1 to 40 of a-z, 0-9, ".", "_", "-", and begin with a letter or digit',
      nothing,
    ]);
    expect(
      saveProblems({
        ...{ volumes: 'x', overwrite: 'yes', save: 'no', 'fail-on-save-error': '1', key: 'a,b' },
        ...{ copy: 'cp', quiesce: 'halt', compression: 'gzip', 'stop-timeout': '-1' },
        ...{ 'wait-timeout': 'x', 'retention-days': '5', 'before-copy': 'true' },
      }),
    ).toEqual([
      'quiesce: "halt" is not one of stop, pause, none',
      'quiesce: "before-copy" and "after-copy" are run with "quiesce" none only',
      expect.stringMatching(/^key: /),
      'retention-days: only the store artifact has it',
      'wait-timeout: "x" is not a time: seconds like 120, or 2m',
      'stop-timeout: "-1" is not a time: seconds like 120, or 2m',
      'compression: "gzip" is not auto, zstd:1 ... zstd:19 or none',
      'copy: "cp" is not one of auto, pipe, archive',
      'overwrite: "yes" is not one of true, false',
      'save: "no" is not one of auto, true, false',
      'fail-on-save-error: "1" is not one of true, false',
    ]);
  });
});

describe('the settings of restore', () => {
  const renamed = (rename: string): unknown => parseRestore({ rename }).rename;

  test('have defaults', () => {
    expect(parseRestore({})).toMatchObject({
      ...{ restoreKeys: [], rename: {}, volume: undefined, includeBinds: false, overwrite: false },
      ...{ image: undefined, failOnMiss: false, lookupOnly: false },
      copy: { copy: 'auto', store: { kind: 'file', dir: '/s' } },
    });
  });

  test('take a volume by its name, and a folder relative to where it runs', () => {
    expect(parseRestore({ volume: 'x1' }).volume).toBe('x1');
    expect(parseRestore({ volume: './x1/' }).volume).toBe('/home/shop/x1');
    expect(parseRestore({ volume: '/srv/../srv/x' }).volume).toBe('/srv/x');
    expect(parseRestore({ volume: '~/x' }).volume).toBe('/home/me/x');
    expect(renamed('a=~/x')).toEqual({ a: '/home/me/x' });
  });

  test('rename what the last "=" of a line parts', () => {
    expect(renamed('a=b\n /srv/x = ./y \n\n')).toEqual({ a: 'b', '/srv/x': '/home/shop/y' });
    expect(renamed('/srv/a=b=c')).toEqual({ '/srv/a=b': 'c' });
    const hostile = Object.entries(renamed('__proto__=x1') as object); // a cast: it is one
    expect(hostile).toEqual([['__proto__', 'x1']]);
  });

  test('tell every problem at once', () => {
    for (const line of ['a', '=b', 'a=', ' = ', '=']) {
      expect(restoreProblems({ rename: `x=y\n${line}` })).toEqual([
        `rename: "${line.trim()}" is not OLD=NEW`,
      ]);
    }
    expect(restoreProblems({ rename: 'a=b\na=c' })).toEqual(['rename: "a" is given twice']);
    expect(restoreProblems({ 'restore-keys': Array(10).fill('k').join('\n') })).toEqual([
      "restore-keys: 10 given, GitHub's cache takes at most 9 beside the key",
    ]);
    expect(restoreProblems({ 'lookup-only': 'true', 'expect-digest': 'a'.repeat(64) })).toEqual([
      expect.stringContaining('looks into no snapshot'),
    ]);
    expect(
      restoreProblems({
        ...{ overwrite: 'x', 'include-binds': 'x', 'fail-on-miss': 'x', 'lookup-only': 'x' },
        ...{ store: 'nowhere', copy: 'x', rename: 'x' },
      }),
    ).toEqual([
      expect.stringMatching(/^store: /),
      'copy: "x" is not one of auto, pipe, archive',
      'rename: "x" is not OLD=NEW',
      'include-binds: "x" is not one of true, false',
      'overwrite: "x" is not one of true, false',
      'fail-on-miss: "x" is not one of true, false',
      'lookup-only: "x" is not one of true, false',
    ]);
  });
});
