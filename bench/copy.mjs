// One copy by the library, as a process of its own: copy.mjs save|restore pipe|archive
// The environment says what: VOLUME, FILE, IMAGE, LABEL, SCRATCH; DIST is the folder of the built library. With TRIM,
// what is worthless to ENGINE is left out, as after a clean stop; FOLDER is where the volume is.
// Prints the memory that this process, and the largest of its processes, took at most, and the processor time of this process, as JSON.
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { pathToFileURL } from 'node:url';

const [operation, method] = process.argv.slice(2);
const { VOLUME, FILE, IMAGE, LABEL, SCRATCH, DIST, FOLDER, ENGINE, TRIM } = process.env;
const snapvol = await import(pathToFileURL(`${DIST}/index.js`).href);

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

/** The kernel keeps the highest value, so that to look now and then is enough. */
let childBytes = 0;
const watching = setInterval(() => {
  for (const pid of readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ')) {
    const kilobytes = /VmHWM:\s+(\d+)/.exec(statusOf(pid))?.[1] ?? 0;
    childBytes = Math.max(childBytes, Number(kilobytes) * 1024);
  }
}, 50);

function statusOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return ''; // it has just ended
  }
}

const target = {
  storage: { type: 'volume', source: VOLUME },
  image: IMAGE,
  labels: Object.fromEntries([LABEL.split('=')]),
};
/** The first bytes of a file of the volume: what engines ask for. */
async function read(path) {
  const bytes = await readFile(join(FOLDER, path)).catch(() => undefined);
  return bytes?.subarray(0, 65536);
}

async function worthless() {
  const { engine } = snapvol.parseSettings({ engine: ENGINE }, { defaultStore: `file:${SCRATCH}` });
  return engine.worthless(read);
}

const around = { log: snapvol.silentLog, tempDir: SCRATCH, cwd: SCRATCH, env: process.env };

async function copy() {
  await using composed = await snapvol.composeTools({ ...around, outputFd: 2 }, method);
  const { copier } = composed.tools;
  if (operation === 'save') {
    const byCores = { kind: 'zstd', level: 'auto' };
    const what = TRIM ? { ...target, leaveOut: await worthless() } : target;
    const saved = await copier.save(what, FILE, byCores, stop.signal);
    writeFileSync(`${FILE}.json`, JSON.stringify({ ...saved, compression: 'zstd' }));
  } else {
    const expected = JSON.parse(readFileSync(`${FILE}.json`, 'utf8'));
    await copier.restore(target, FILE, expected, 100e9, stop.signal);
  }
}

await copy();
clearInterval(watching);
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
// The client of the engine keeps a connection.
process.stdout.write(JSON.stringify({ rssBytes: maxRSS * 1024, childBytes, cpuSeconds }), () =>
  process.exit(),
);
