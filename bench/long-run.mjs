// Starts a database from its snapshot, restores a volume beside it, and stops it, again and again, in one process:
// nothing may grow. Ends with exit code 1 where something does.
//
//   node bench/long-run.mjs [--cycles 200] [--image postgres:17] [--json FILE]
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { parseArgs } from 'node:util';
import { runInNewContext } from 'node:vm';

import * as snapvol from '../dist/index.js';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '200' },
    image: { type: 'string', default: 'postgres:17' },
    json: { type: 'string' },
  },
});
const cycles = Number(values.cycles);
/** Until then a process still loads what it needs: code, caches, connections. */
const warmUp = Math.min(20, Math.floor(cycles / 5));

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc');

function testImage(name) {
  try {
    const table = resolve(import.meta.dirname, '../.work/test-images.json');
    return JSON.parse(readFileSync(table, 'utf8'))[name].reference;
  } catch {
    return name; // no stand-in was built: the image itself
  }
}

const docker = (...args) => execFileSync('docker', args, { encoding: 'utf8' }).trim();
const count = (...args) =>
  docker(...args)
    .split('\n')
    .filter(Boolean).length;

/** Of the whole engine: whatever appears and is not ours would show as well, so run it alone. */
function take(tempDir) {
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    containers: count('ps', '--all', '--quiet'),
    volumes: count('volume', 'ls', '--quiet'),
    networks: count('network', 'ls', '--quiet'),
    images: count('images', '--all', '--quiet'),
    temporaryFiles: readdirSync(tempDir, { recursive: true }).length,
    openFiles: readdirSync('/proc/self/fd').length,
    heapBytes: heapUsed,
    rssBytes: rss,
  };
}

const work = mkdtempSync(join(tmpdir(), 'snapvol-long-run-'));
const tempDir = mkdtempSync(join(work, 'temp-'));
const { signal } = new AbortController();
const around = { log: snapvol.silentLog, tempDir, cwd: work, env: process.env, outputFd: 2 };
const context = { defaultStore: `file:${join(work, 'store')}` };
const scope = 'long-run';

async function once(run, failOnMiss) {
  const seed =
    'docker exec "$SNAPVOL_CONTAINER" psql -X -q -U postgres -c ' +
    '"create table t as select n, md5(n::text) as text from generate_series(1, 20000) n"';
  const settings = snapvol.parseSettings(
    {
      image: testImage(values.image),
      name: 'db',
      port: '0',
      key: 'long-run',
      seed,
      'fail-on-miss': String(failOnMiss),
    },
    context,
  );
  await using composed = await snapvol.composeStoreTools(around, settings.copy, settings.store);
  const { tools } = composed;
  const owner = { run: randomUUID(), name: 'db', scope };
  const who = { owner, provenance: {}, cwd: work, untrusted: undefined };
  const report = await snapvol.start(tools, settings, who, signal);
  const rows = docker(
    ...['exec', report.container, 'psql', '-X', '-A', '-t', '-U', 'postgres'],
    ...['-c', 'select count(*) from t'],
  );
  if (rows !== '20000') throw new Error(`cycle ${run}: ${rows} rows instead of 20000`);
  await snapvol.stop(tools, owner);
}

async function restoreOnce() {
  const volume = `snapvol-long-run-${process.pid}`;
  const settings = snapvol.parseSettings({ image: testImage(values.image) }, context);
  await using composed = await snapvol.composeStoreTools(around, settings.copy, settings.store);
  const found = await snapvol.findSnapshot(composed.tools.store, 'long-run', signal);
  await snapvol.restore(composed.tools, found, { ...restoreWishes(volume), scope }, signal);
  docker('volume', 'rm', volume);
}

function restoreWishes(volume) {
  return {
    ...{ rename: {}, volume, includeBinds: false, overwrite: false, image: undefined },
    ...{ acceptance: { digest: undefined, provenance: [] }, maxBytes: 100e9 },
  };
}

const samples = [];
const startMs = performance.now();
try {
  await once(0, false);
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    await once(cycle, true);
    await restoreOnce();
    if (cycle >= warmUp) samples.push({ cycle, ...take(tempDir) });
    if (cycle % 20 === 0) console.error(`${cycle} of ${cycles} cycles`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
const seconds = Math.round((performance.now() - startMs) / 1000);

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const fifth = Math.max(1, Math.floor(samples.length / 5));
const rows = Object.keys(samples[0])
  .filter((name) => name !== 'cycle')
  .map((name) => {
    const first = median(samples.slice(0, fifth).map((sample) => sample[name]));
    const last = median(samples.slice(-fifth).map((sample) => sample[name]));
    // Numbers of things must not change at all; memory breathes.
    const allowed = name === 'rssBytes' ? 0.2 * first : name === 'heapBytes' ? 0.1 * first : 0;
    return { name, first, last, grows: last - first > allowed };
  });

const shown = (name, value) => (name.endsWith('Bytes') ? `${(value / 1e6).toFixed(1)} MB` : value);
console.log(`${cycles} cycles of start, restore and stop in ${seconds} s, Node ${process.version}`);
console.log('\n| | first fifth | last fifth |\n| --- | --- | --- |');
for (const { name, first, last, grows } of rows) {
  console.log(`| ${name} | ${shown(name, first)} | ${shown(name, last)}${grows ? ' GROWS' : ''} |`);
}
if (values.json)
  writeFileSync(values.json, `${JSON.stringify({ cycles, seconds, rows, samples })}\n`);
// The client of the engine keeps a connection.
process.exit(rows.some(({ grows }) => grows) ? 1 : 0);
