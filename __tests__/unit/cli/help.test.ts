import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { parseArguments } from '../../../src/cli/args.ts';
import { commandNames, commands } from '../../../src/cli/commands.ts';
import { commonFlags } from '../../../src/cli/flags.ts';
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import { commandHelp, generalHelp } from '../../../src/cli/help.ts';

const docs = readFileSync(join(import.meta.dirname, '../../../docs/cli.md'), 'utf8');

describe('help', () => {
  test('names every command, with an example', () => {
    expect(commands.map(({ name }) => name)).toEqual([...commandNames]);
    for (const { name, about, example } of commands) {
      expect(generalHelp()).toMatch(new RegExp(`^  ${name}\\b.*${about.slice(0, 20)}`, 'm'));
      expect(generalHelp()).toContain(example);
    }
  });

  test.each(commands)('of $name describes every flag', (command) => {
    const text = commandHelp(command);
    for (const { name, about } of [...command.flags, ...commonFlags]) {
      expect(text).toMatch(new RegExp(`^  (-\\w, )?--${name}\\b`, 'm'));
      expect(text).toContain(about.split(' ').slice(0, 3).join(' '));
      expect(about.length).toBeLessThan(100);
    }
  });

  test('fits a terminal', () => {
    for (const text of [generalHelp(), ...commands.map(commandHelp)]) {
      expect(text.split('\n').filter((line) => line.length > 100)).toEqual([]);
    }
  });

  test.each(commands)('has an example of $name that is understood', ({ name, example }) => {
    // As a shell has it: quotes keep words together, a backslash joins lines.
    const words = example.replaceAll('\\\n', ' ').match(/(?:'[^']*'|[^\s'])+/g) ?? [];
    const [program, ...argv] = words.map((word) => word.replaceAll("'", ''));
    expect(program).toBe('snapvol');
    expect(parseArguments(argv)).toMatchObject({ kind: 'command', command: { name } });
  });
});

describe('docs/cli.md', () => {
  test.each(commands)('shows the help of $name as it is', (command) => {
    expect(docs).toContain(`\`\`\`text\n${commandHelp(command)}\`\`\`\n`);
  });

  test('has the table of exit codes', () => {
    const rows = [...docs.matchAll(/^\| (\d+) +\| `([a-z-]+)` +\|/gm)];
    expect(Object.fromEntries(rows.map(([, code, name]) => [name, Number(code)]))).toEqual(
      exitCodes,
    );
  });
});

describe('exit codes', () => {
  test('differ from each other and from success', () => {
    const codes = Object.values(exitCodes);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes).not.toContain(0);
    expect(codes.filter((code) => code > 125 && code !== 130)).toEqual([]); // shells use these
  });
});
