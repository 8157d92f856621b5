// Prints the lines of the file as a Markdown table: a row for each server and way of copying.
import { readFileSync } from 'node:fs';

const [file] = process.argv.slice(2);
const rows = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
  .sort((a, b) => (`${a.title} ${a.way}` < `${b.title} ${b.way}` ? -1 : 1));
const columns = ['seed', 'stop', 'save', 'restore', 'ready'];

console.log(
  `| server | copied by | volume -> archive | ${columns.map((name) => `${name} s`).join(' | ')} |`,
);
console.log(`| --- | --- | --- |${' ---: |'.repeat(columns.length)}`);
for (const row of rows) {
  const seconds = columns.map((name) => (row[name] === undefined ? '' : row[name].toFixed(2)));
  console.log(`| ${[row.title, row.way, row.sizes, ...seconds].join(' | ')} |`);
}
