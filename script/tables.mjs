// Writes what Markdown files repeat of the code: the tables of inputs and outputs, between the marks
// `<!-- inputs of FILE -->` ... `<!-- end -->`, and the help of each command in docs/cli.md. With --check only tells
// whether they are current.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';

import { commands } from '../src/cli/commands.ts';
import { commandHelp } from '../src/cli/help.ts';

const root = resolve(import.meta.dirname, '..');
const files = [
  'docs/inputs.md',
  'docs/cli.md',
  'save/README.md',
  'restore/README.md',
  'reset/README.md',
];
const check = process.argv.includes('--check');
const marked = /(<!-- (inputs|outputs) of (\S+) -->\n)[^]*?(<!-- end -->)/g;

const columns = {
  inputs: ['input', 'default', 'meaning'],
  outputs: ['output', 'meaning'],
};

/** Descriptions link to pages beside docs/inputs.md. */
function linkFrom(file, text) {
  return text.replaceAll(
    /\]\(([\w-]+\.md)/g,
    (_, page) => `](${relative(dirname(file), join('docs', page))}`,
  );
}

function table(kind, actionFile, file) {
  const entries = Object.entries(parse(readFileSync(join(root, actionFile), 'utf8'))[kind]);
  const rows = entries.map(([name, { description, default: value }]) => {
    if (!description) throw new Error(`${actionFile}: ${name} has no description`);
    const cells =
      kind === 'inputs' ? [`\`${name}\``, value ? `\`${value}\`` : ''] : [`\`${name}\``];
    return `| ${[...cells, linkFrom(file, description).replaceAll('|', '\\|')].join(' | ')} |`;
  });
  const head = columns[kind];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows].join('\n');
}

function helpOf(name) {
  return new RegExp(`\`\`\`text\\nsnapvol ${name} [^]*?\`\`\`\\n`);
}

for (const file of files) {
  const path = join(root, file);
  const before = readFileSync(path, 'utf8');
  const filled = commands
    .reduce(
      (text, command) =>
        text.replace(helpOf(command.name), () => `\`\`\`text\n${commandHelp(command)}\`\`\`\n`),
      before,
    )
    .replaceAll(
      marked,
      (_, begin, kind, actionFile, end) => `${begin}\n${table(kind, actionFile, file)}\n\n${end}`,
    );
  const after = await format(filled, { ...(await resolveConfig(path)), filepath: path });
  if (after === before) continue;
  if (check) {
    console.error(`${file} is not current: run "npm run tables"`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
  }
}
