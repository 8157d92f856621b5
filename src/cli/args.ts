import { parseArgs } from 'node:util';

import { AppError } from '../errors.ts';
import { commandNames, commands, type Command } from './commands.ts';
import { commonFlags, type Flag } from './flags.ts';
import { suggest } from './suggest.ts';

/** What one command was given. */
export interface Given {
  /** The positional argument; empty where there is none, and several are lines. */
  readonly argument: string;
  /** Flag -> text. Several values of one flag are lines; a switch is `true` or `false`. */
  readonly values: Readonly<Record<string, string>>;
}

export type Invocation =
  | { readonly kind: 'help'; readonly command: Command | undefined }
  | { readonly kind: 'version' }
  | { readonly kind: 'command'; readonly command: Command; readonly given: Given };

/** @throws `invalid-settings` for anything that no command takes, with what was probably meant */
export function parseArguments(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h') {
    return { kind: 'help', command: undefined };
  }
  if (first === '--version' || first === '-V') return { kind: 'version' };
  if (first === 'help') {
    const [name] = rest;
    return { kind: 'help', command: name === undefined ? undefined : findCommand(name) };
  }
  if (first.startsWith('-')) {
    throw usageError(`the command comes first, before ${first}`, 'snapvol COMMAND [FLAGS]');
  }
  const command = findCommand(first);
  const given = parseCommand(command, rest);
  return given.values['help'] === 'true'
    ? { kind: 'help', command }
    : { kind: 'command', command, given };
}

function findCommand(name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found) return found;
  throw usageError(`there is no command "${name}"`, suggest(name, commandNames));
}

function parseCommand(command: Command, args: readonly string[]): Given {
  const flags = [...command.flags, ...commonFlags];
  const { tokens } = parseArgs({
    args: [...args],
    // Not strict: its messages name neither what was meant nor the command.
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      flags.map(({ name, short, value }) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', ...(short && { short }) },
      ]),
    ),
  });
  const values: Record<string, string> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = flags.find(({ name }) => name === token.name);
    if (!flag) throw unknownFlag(command, token.rawName, flags);
    const before = values[flag.name];
    const value = valueOf(flag, token, flags, command);
    if (before !== undefined && flag.value !== undefined && !flag.repeatable) {
      throw usageError(`--${flag.name} is given twice`, undefined, command);
    }
    values[flag.name] = before !== undefined && flag.repeatable ? `${before}\n${value}` : value;
  }
  return { argument: argumentOf(command, positionals, values), values };
}

/** A value may begin with a dash (`--args '-c jit=off'`), but a flag's name in its place means that it was forgotten. */
function valueOf(
  flag: Flag,
  token: { readonly value?: string | undefined; readonly inlineValue?: boolean | undefined },
  flags: readonly Flag[],
  command: Command,
): string {
  const { value, inlineValue } = token;
  if (flag.value === undefined) {
    if (value === undefined || value === 'true' || value === 'false') return value ?? 'true';
    throw usageError(`--${flag.name} is a switch, it takes no "${value}"`, undefined, command);
  }
  const isFlag =
    !inlineValue &&
    flags.some(({ name }) => value === `--${name}` || value?.startsWith(`--${name}=`));
  if (value === undefined || isFlag) {
    throw usageError(`--${flag.name} needs a value (${flag.value})`, undefined, command);
  }
  return value;
}

function argumentOf(
  command: Command,
  positionals: readonly string[],
  values: Readonly<Record<string, string>>,
): string {
  const { argument } = command;
  const [value, ...others] = positionals;
  if (argument?.repeatable) {
    // A variable of a shell that is not set must not mean "all".
    if (!positionals.some((each) => each.trim() === '')) return positionals.join('\n');
    throw usageError(`a ${argument.name} is empty`, undefined, command);
  }
  const surplus = argument === undefined ? value : others[0];
  if (surplus !== undefined && values['help'] !== 'true') {
    throw usageError(`"${surplus}" is too much for "snapvol ${command.name}"`, undefined, command);
  }
  if (argument?.required && !value && values['help'] !== 'true') {
    throw usageError(`"snapvol ${command.name}" needs ${argument.name}`, undefined, command);
  }
  return value ?? '';
}

function unknownFlag(command: Command, given: string, flags: readonly Flag[]): AppError {
  const meant = suggest(
    given.replace(/^-+/, ''),
    flags.map(({ name }) => name),
  );
  return usageError(
    `"snapvol ${command.name}" has no flag ${given}`,
    meant === undefined ? undefined : `--${meant}`,
    command,
  );
}

function usageError(message: string, meant: string | undefined, command?: Command): AppError {
  const help = `"snapvol ${command ? `${command.name} ` : ''}--help" shows what there is`;
  return new AppError('invalid-settings', message, {
    hint: meant === undefined ? help : `Did you mean "${meant}"? ${help}`,
  });
}
