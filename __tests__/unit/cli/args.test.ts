import { describe, expect, test } from '@jest/globals';

import { parseArguments } from '../../../src/cli/args.ts';
import { commands } from '../../../src/cli/commands.ts';
import { AppError } from '../../../src/errors.ts';
import { inputNames } from '../../../src/settings.ts';

function given(...argv: string[]) {
  const invocation = parseArguments(argv);
  if (invocation.kind !== 'command') throw new Error(`that was ${invocation.kind}`);
  return { command: invocation.command.name, ...invocation.given };
}

function refusal(...argv: string[]): string {
  try {
    parseArguments(argv);
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid-settings') {
      return `${error.message}. ${error.hint ?? ''}`;
    }
    throw error;
  }
  throw new Error('that was accepted');
}

describe('arguments', () => {
  test('are a command, its argument, and its flags in any order', () => {
    const expected = {
      command: 'start',
      argument: 'shop',
      values: { image: 'postgres:17', port: '0' },
    };
    expect(given('start', 'shop', '--image', 'postgres:17', '--port=0')).toEqual(expected);
    expect(given('start', '--port', '0', '--image=postgres:17', 'shop')).toEqual(expected);
  });

  test('of start are every input of the action, and the file of the secret one', () => {
    const start = commands.find(({ name }) => name === 'start');
    expect(start?.flags.map(({ name }) => name).sort()).toEqual([...inputNames, 'identity'].sort());
  });

  test('may repeat a flag that takes lines, and no other', () => {
    expect(given('start', '--env', 'A=1', '--env', 'B=2').values).toEqual({ env: 'A=1\nB=2' });
    expect(refusal('start', '--image', 'a', '--image', 'b')).toContain('--image is given twice');
  });

  test('may have values that begin with a dash', () => {
    const { values } = given('start', '--args', '-c jit=off', '--options', '--memory 1g');
    expect(values).toEqual({ args: '-c jit=off', options: '--memory 1g' });
  });

  test('know switches, with a value or without', () => {
    expect(given('start', '--fail-on-miss').values).toEqual({ 'fail-on-miss': 'true' });
    expect(given('start', '--fail-on-miss=false').values).toEqual({ 'fail-on-miss': 'false' });
    expect(given('list', '-q', '--json').values).toEqual({ quiet: 'true', json: 'true' });
    expect(refusal('list', '--json=maybe')).toContain('--json is a switch');
  });

  test('that are no command or no flag are refused with what was probably meant', () => {
    expect(refusal('strat')).toMatch(/no command "strat".*Did you mean "start"\?/);
    expect(refusal('frobnicate')).not.toContain('Did you mean');
    expect(refusal('start', '--sed', 'x')).toMatch(/no flag --sed.*Did you mean "--seed"\?/);
    expect(refusal('stop', 'shop', '--store', 'x')).toContain('"snapvol stop" has no flag --store');
    expect(refusal('stop', 'shop', '-x')).toContain('no flag -x');
    expect(refusal('--json', 'list')).toContain('the command comes first');
  });

  test('that are missing or too many are refused', () => {
    expect(refusal('stop')).toContain('"snapvol stop" needs NAME');
    expect(refusal('stop', '')).toContain('"snapvol stop" needs NAME');
    expect(refusal('stop', 'a', 'b')).toContain('"b" is too much');
    expect(refusal('list', 'a', 'b')).toContain('"b" is too much');
    expect(refusal('start', '--image')).toContain('--image needs a value');
    expect(refusal('start', '--image', '--seed', 'x')).toContain('--image needs a value');
    expect(refusal('start', '--image', '--seed=x')).toContain('--image needs a value');
  });

  test('may be many names, and none of them empty', () => {
    expect(given('prune').argument).toBe('');
    expect(given('prune', 'a', '--keep-last', '1', 'b').argument).toBe('a\nb');
    // As of a variable that is not set: it must not mean all.
    expect(refusal('prune', '', '--keep-last', '1')).toContain('a NAME is empty');
  });

  test('ask for help anywhere', () => {
    expect(parseArguments([])).toEqual({ kind: 'help', command: undefined });
    expect(parseArguments(['--help'])).toEqual({ kind: 'help', command: undefined });
    for (const argv of [
      ['stop', '--help'],
      ['stop', '-h'],
      ['help', 'stop'],
    ]) {
      expect(parseArguments(argv)).toMatchObject({ kind: 'help', command: { name: 'stop' } });
    }
    expect(parseArguments(['--version'])).toEqual({ kind: 'version' });
  });
});
