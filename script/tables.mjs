// Writes the tables of inputs and outputs in the Markdown files that ask for them with the marks
// `<!-- inputs of FILE -->` ... `<!-- end -->`. With --check only tells whether they are current.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '..');
const files = ['README.md'];
const check = process.argv.includes('--check');
const marked = /(<!-- (inputs|outputs) of (\S+) -->\n)[^]*?(<!-- end -->)/g;

const columns = {
  inputs: ['input', 'default', 'meaning'],
  outputs: ['output', 'meaning'],
};

function table(kind, actionFile) {
  const entries = Object.entries(parse(readFileSync(join(root, actionFile), 'utf8'))[kind]);
  const rows = entries.map(([name, { description, default: value }]) => {
    if (!description) throw new Error(`${actionFile}: ${name} has no description`);
    const cells =
      kind === 'inputs' ? [`\`${name}\``, value ? `\`${value}\`` : ''] : [`\`${name}\``];
    return `| ${[...cells, description.replaceAll('|', '\\|')].join(' | ')} |`;
  });
  const head = columns[kind];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows].join('\n');
}

for (const file of files) {
  const path = join(root, file);
  const before = readFileSync(path, 'utf8');
  const filled = before.replaceAll(marked, (_, begin, kind, actionFile, end) => {
    return `${begin}\n${table(kind, actionFile)}\n\n${end}`;
  });
  if (filled === before && !marked.test(before))
    throw new Error(`${file} has no marks for a table`);
  const after = await format(filled, { ...(await resolveConfig(path)), filepath: path });
  if (after === before) continue;
  if (check) {
    console.error(`${file} is not current: run "npm run tables"`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
  }
}
