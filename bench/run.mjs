// Measures snapvol beside other ways to the same end, one after the other, in one run. Needs root, a container engine on
// this machine, zstd, the test images postgres:17, postgres:17-alpine and mysql:9.7, and the built dist.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { inputsFor, withInput } from './inputs.mjs';
import { describeMachine } from './machine.mjs';
import { measureWays } from './pairs.mjs';
import { report } from './report.mjs';
import { measureResets } from './resets.mjs';
import { measureStarts } from './starts.mjs';
import { measureStartUp } from './startup.mjs';
import { before, ways } from './ways.mjs';
import { openWorld } from './world.mjs';

const usage = `script/bench [--only SUBJECT,...] [--ways WAY,...] [--pairs N] [--scale N] [--json FILE] [--keep]
             [--warm] [--before DIR]

Prints a Markdown report. Everything that was made is removed, on Ctrl-C too.
  --only    some of: postgres, mysql, files, sparse, size, starts, resets, startup (all)
  --ways    some of: ${ways.map(({ name }) => name).join(', ')} (all)
  --pairs   rounds that count (5); the largest size has one
  --scale   of pgbench (60: 1.7 GB); below 10 all inputs are small, for a try
  --json    all figures
  --keep    keep the inputs for another run
  --warm    leave the caches of the system as they are
  --before  another checkout of snapvol, whose pipe is measured beside`;

const text = { type: 'string' };
const { values } = parseArgs({
  options: {
    ...{ only: text, ways: text, before: text, json: text },
    ...{ pairs: { ...text, default: '5' }, scale: { ...text, default: '60' } },
    ...{ keep: { type: 'boolean', default: false }, warm: { type: 'boolean', default: false } },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log(usage);
  process.exit();
}

const scale = Number(values.scale);
const inputs = inputsFor(scale);
const subjects = [...Object.keys(inputs), 'starts', 'resets', 'startup'];
const chosen = choice('only', subjects);
const wayNames = choice(
  'ways',
  ways.map(({ name }) => name),
);
const chosenWays = ways.filter(({ name }) => wayNames.includes(name));
if (values.before) chosenWays.push(before);
const beforeDir = values.before && resolve(values.before);
const say = (line) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
const options = { pairs: Number(values.pairs), beforeDir, say };

function choice(flag, known) {
  const wanted = values[flag]?.split(',') ?? known;
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`--${flag}: no ${unknown}; there are ${known.join(', ')}`);
  return wanted;
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => stop.abort(new Error(`ended by ${signal}`)));
}

/** How time grows with size needs no other ways than the practical limit, and minutes for the largest. */
function howToMeasure(subject, input) {
  const possible = chosenWays.filter(({ partial }) => !partial || input.engine);
  if (subject !== 'size') return [possible, options];
  const few = chosenWays.filter(({ name }) => ['pipe', 'host', 'before'].includes(name));
  return [few, input === inputs.size.at(-1) ? { ...options, pairs: 1 } : options];
}

/** Adds to `results` what is whole, for a run that is ended early is not for nothing. */
async function measure(results) {
  await using world = await openWorld(stop.signal, values);
  results.machine = await describeMachine(world, values);
  for (const subject of chosen) {
    for (const input of inputs[subject] ?? []) {
      say(`making ${input.title}`);
      results.copies.push(
        await withInput(world, input, (made) =>
          measureWays(world, made, ...howToMeasure(subject, input)),
        ),
      );
    }
    if (subject === 'starts') results.starts = await measureStarts(world, scale, options);
    if (subject === 'resets') results.resets = await measureResets(world, scale, options);
    if (subject === 'startup') results.startUp = await measureStartUp(world, options);
  }
}

const results = { machine: {}, pairs: options.pairs, copies: [] };
try {
  await measure(results);
} catch (error) {
  console.error(stop.signal.aborted ? stop.signal.reason.message : error);
  process.exitCode = 1;
}
console.log(report(results));
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, undefined, 1)}\n`);
