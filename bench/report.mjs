import { median, ratio } from './pairs.mjs';
import { describeResets } from './report-resets.mjs';
import { number, megabytes, range, table } from './report-table.mjs';
import { targets } from './targets.mjs';

/** The results as Markdown. Ratios are medians of the ratios of each round. */
export function report({ machine, pairs, copies = [], starts, resets, startUp }) {
  const facts = { ...machine, memoryBytes: undefined, memory: megabytes(machine.memoryBytes ?? 0) };
  return [
    `Rounds: ${pairs}.`,
    '',
    ...table(
      ['of', ''],
      Object.entries(facts).filter(([, value]) => value !== undefined),
    ),
    ...copies.flatMap(describeCopies),
    ...(starts ? describeStarts(starts) : []),
    ...(resets ? describeResets(resets) : []),
    ...(startUp ? describeStartUp(startUp) : []),
    ...['', '## Targets', ''],
    ...table(
      ['', 'wanted', 'found', ''],
      targets({ copies, starts, resets, startUp }).map(({ what, wanted, value, holds }) => [
        ...[what, wanted, number(value), holds ? 'holds' : '**does not hold**'],
      ]),
    ),
  ].join('\n');
}

function describeCopies({ title, diskBytes, rows }) {
  const of = (operation) => {
    const those = rows.filter((row) => row.operation === operation);
    const ours = those.find(({ way }) => way === 'pipe');
    return those.map(({ title: way, seconds, archiveBytes, facts }) => [
      way,
      number(median(seconds)),
      range(seconds),
      ours ? number(ratio(ours.seconds, seconds)) : '',
      operation === 'save' ? megabytes(archiveBytes) : '',
      ...['rssBytes', 'childBytes'].map((name) =>
        facts.length > 0 ? megabytes(Math.max(...facts.map((each) => each[name]))) : '',
      ),
      facts.length > 0 ? number(median(facts.map(({ cpuSeconds }) => cpuSeconds))) : '',
    ]);
  };
  const head = (operation) => [
    ...[operation, 'median s', 'min–max s', 'times the pipe'],
    ...['file', 'our memory', "its processes' memory", 'our CPU s'],
  ];
  return [
    ...['', `## ${title}: ${megabytes(diskBytes)} on disk`, ''],
    ...table(head('save'), of('save')),
    '',
    ...table(head('restore'), of('restore')),
  ];
}

function describeStarts({ scale, rows, snapshotBytes, dumpSeconds }) {
  const phases = ['search', 'restore', 'ready', 'seed', 'snapshot', 'save', 'total'];
  const hit = rows.find(({ way }) => way === 'hit');
  const cells = rows.map((row) => [
    row.title,
    number(median(row.seconds)),
    range(row.seconds),
    number(ratio(hit.seconds, row.seconds)),
    ...phases.map((name) => {
      const seconds = row.phases.flatMap((each) => (each[name] === undefined ? [] : [each[name]]));
      return seconds.length > 0 ? number(median(seconds)) : '';
    }),
    megabytes(row.scratchBytes),
  ]);
  return [
    ...['', `## From process start to "the database answers": pgbench of scale ${scale}`, ''],
    ...table(['', 'median s', 'min–max s', 'times a hit', ...phases, 'scratch disk'], cells),
    '',
    `The snapshot has ${megabytes(snapshotBytes)}. \`pg_dump -Fc\` took ${number(dumpSeconds)} s.`,
  ];
}

function describeStartUp({ rows }) {
  const [node] = rows;
  const cells = rows.map(({ title, cpuMs }) => [
    ...[title, number(median(cpuMs)), range(cpuMs), number(ratio(node.cpuMs, cpuMs))],
  ]);
  const head = ['', 'median CPU ms', 'min–max', 'times bare Node'];
  return ['', '## Start-up', '', ...table(head, cells)];
}
