import { PassThrough } from 'node:stream';

import { describe, expect, test } from '@jest/globals';

import { exportRequest, importRequest } from '../../../src/cli/archive-flags.ts';
import { parseArguments, type Given } from '../../../src/cli/args.ts';
import { parseCopySettings } from '../../../src/settings.ts';

const settings = parseCopySettings({}, { defaultStore: 'file:/s' });
const home = '/home/me';
const stream = new PassThrough();
const terminal = Object.assign(new PassThrough(), { isTTY: true });

function given(...argv: string[]): Given {
  const invocation = parseArguments(argv);
  if (invocation.kind !== 'command') throw new Error(`that was ${invocation.kind}`);
  return invocation.given;
}

const imported = (...flags: string[]) =>
  importRequest(given('import', ...flags), settings, stream, home);
const exported = (...flags: string[]) => exportRequest(given('export', ...flags), stream, home);

const invalid = (message: string): unknown =>
  expect.objectContaining({ code: 'invalid-settings', message: expect.stringContaining(message) });

function refusal(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('that was accepted');
}

describe('import', () => {
  test('is of a file or of the standard input', () => {
    expect(imported('b.tar')).toMatchObject({ from: { file: 'b.tar' }, name: undefined });
    expect(imported('~/b.tar').from).toEqual({ file: '/home/me/b.tar' });
    expect(imported('-', '--name', 'x')).toMatchObject({ from: { stream }, name: 'x' });
    const typed = refusal(() => importRequest(given('import', '-'), settings, terminal, home));
    expect(typed).toEqual(invalid('is a terminal'));
  });

  test.each([
    [[], [{ volume: undefined, folder: undefined }]],
    [['--strip', 'auto'], [{ volume: undefined, folder: undefined }]],
    [['--strip', 'none'], [{ volume: undefined, folder: '' }]],
    [['--strip', '/data'], [{ volume: undefined, folder: '/data' }]],
    [['--volume', 'v'], [{ volume: 'v', folder: undefined }]],
    [['--volume', 'v', '--strip', 'none'], [{ volume: 'v', folder: '' }]],
    [['--volume', 'v=a=b'], [{ volume: 'v', folder: 'a=b' }]],
    [
      ['--volume', 'v=/data', '--volume', 'w=config'],
      [
        { volume: 'v', folder: '/data' },
        { volume: 'w', folder: 'config' },
      ],
    ],
  ])('%j is understood', (flags, volumes) => {
    expect(imported('b.tar', ...flags).volumes).toEqual(volumes);
  });

  test('has one word for what is stripped', () => {
    const twice = refusal(() => imported('b.tar', '--strip', 'x', '--volume', 'v=y'));
    expect(twice).toEqual(invalid('say two things'));
  });
});

describe('export', () => {
  test('is to a file or to the standard output', () => {
    expect(exported('k')).toMatchObject({
      output: { kind: 'file', file: undefined, replace: false },
    });
    expect(exported('k', '-o', 'f', '--force')).toMatchObject({
      output: { file: 'f', replace: true },
    });
    expect(exported('k', '--output=~/f').output).toMatchObject({ file: '/home/me/f' });
    expect(exported('k', '-o', '-')).toMatchObject({ output: { kind: 'stream', stream } });
    expect(refusal(() => exported('k', '-o', '-', '--json'))).toEqual(invalid('--json'));
    const shown = refusal(() => exportRequest(given('export', 'k', '--output=-'), terminal, home));
    expect(shown).toEqual(invalid('is a terminal'));
  });

  test('has a format that there is', () => {
    expect(exported('k', '--format', 'tar.zst').format).toBe('tar.zst');
    expect(exported('k').format).toBeUndefined();
    expect(refusal(() => exported('k', '--format', 'zip'))).toEqual(invalid('"zip" is not one of'));
  });
});
