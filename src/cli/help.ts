import { commands, type Command } from './commands.ts';
import { commonFlags, type Flag } from './flags.ts';

const width = 100;

/** What the tool is, and a session from nothing to a restored database. */
export function generalHelp(): string {
  return [
    'snapvol: real databases for tests, seeded once and restored from verified snapshots in seconds',
    '',
    ...wrap(
      'It starts a database in a container on a volume of its own. The first time it runs your seed, stops the ' +
        'database cleanly and keeps a snapshot of the volume. From then on, as long as image, settings, seed and key ' +
        'files are the same, "start" restores that snapshot instead of seeding.',
      0,
    ),
    '',
    'A session:',
    "  $ export DATABASE_URL=$(snapvol start shop --image postgres:17 --port 0 --seed 'psql -f seed.sql')",
    '      # seeds, saves a snapshot, and prints the URL',
    '  $ npm test',
    '  $ snapvol stop shop        # all gone but the snapshot',
    '  $ snapvol list             # there it is',
    "  $ snapvol start shop --image postgres:17 --port 0 --seed 'psql -f seed.sql'",
    '      # the same data again, in seconds and without the seed',
    '',
    'Commands ("snapvol COMMAND --help" has their flags):',
    ...columns(commands.map((command) => [usage(command), command.about])),
    '',
    'Examples:',
    ...commands.map((command) => `  ${command.example}`),
    '',
    ...wrap(
      'Snapshots are kept in $SNAPVOL_STORE, else in the folder snapvol under $XDG_DATA_HOME (~/.local/share). ' +
        'Messages go to stderr and results to stdout. Exit codes: 0 done, 2 wrong usage, 130 cancelled, and one for ' +
        'each other kind of failure, listed in docs/cli.md.',
      0,
    ),
    '',
  ].join('\n');
}

export function commandHelp(command: Command): string {
  return [
    `snapvol ${usage(command)} [FLAGS]`,
    '',
    ...wrap(`${capitalised(command.about)}. ${command.notes}`, 0),
    '',
    'Example:',
    `  ${command.example}`,
    '',
    ...(command.flags.length === 0
      ? []
      : ['Flags (defaults in brackets):', ...columns(command.flags.map(flagRow)), '']),
    'Flags of all commands:',
    ...columns(commonFlags.map(flagRow)),
    '',
  ].join('\n');
}

function usage({ name, argument }: Command): string {
  if (!argument) return name;
  const shown = argument.repeatable ? `${argument.name}...` : argument.name;
  return `${name} ${argument.required ? shown : `[${shown}]`}`;
}

function flagRow({ name, short, value, repeatable, about }: Flag): [string, string] {
  const flag = `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
  return [flag, repeatable ? `${about}; may be repeated` : about];
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.max(...rows.map(([first]) => first.length)) + 4;
  return rows.flatMap(([first, second]) => {
    const [line = '', ...more] = wrap(second, left);
    return [`  ${first.padEnd(left - 2)}${line.trimStart()}`, ...more];
  });
}

/** Lines of at most `width`, each indented. */
function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = ' '.repeat(indent);
  for (const word of text.split(' ')) {
    if (line.length + word.length > width && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = ' '.repeat(indent);
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()];
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
