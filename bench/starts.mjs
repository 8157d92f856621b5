import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';

import { testImage } from './world.mjs';

/**
 * Ways to a database that answers, each as a run of `snapvol start`: only how the data comes in differs. The seeds find the
 * container in SNAPVOL_CONTAINER, as those of users do, and what they need in SCALE and DUMP.
 */
const inside = 'docker exec --user postgres "$SNAPVOL_CONTAINER"';
const pgbench = `${inside} pgbench --initialize --quiet --scale "$SCALE" postgres`;
const pgRestore = `docker cp --quiet "$DUMP" "$SNAPVOL_CONTAINER:/tmp/dump"
${inside} pg_restore --jobs "$(nproc)" --dbname postgres /tmp/dump`;
const withoutStore = '--save false --key none';

const starts = [
  { name: 'miss', title: 'snapvol, miss: seeded and saved', seed: pgbench, args: '--key bench' },
  { name: 'hit', title: 'snapvol, hit', seed: 'exit 1', args: '--key bench --fail-on-miss' },
  { name: 'seed', title: 'seeded again (pgbench -i)', seed: pgbench, args: withoutStore },
  { name: 'dump', title: 'pg_restore -j of a dump', seed: pgRestore, args: withoutStore },
];

/** From the start of the process to "the database answers", whole and by phase; and the disk that it takes meanwhile. */
export async function measureStarts(world, scale, { pairs, say }) {
  const name = world.id;
  const temp = join(world.scratch, 'temp');
  const env = {
    ...{
      NODE: process.execPath,
      NAME: name,
      IMAGE: testImage('postgres:17'),
      SCALE: String(scale),
    },
    ...{ TMPDIR: temp, STORE: join(world.scratch, 'store'), DUMP: join(world.scratch, 'dump') },
  };
  const rows = starts.map(({ name: way, title }) => ({ way, title, seconds: [], phases: [] }));
  const stop = () => world.command(process.execPath, 'dist/cli.js', 'stop', name, '--quiet');
  let snapshotBytes = 0;
  let dumpSeconds;

  async function once({ name: way, args, seed }, round) {
    await world.settle();
    using watched = watchFolder(temp);
    const { seconds, out } = await world.run(
      `"$NODE" dist/cli.js start "$NAME" --image "$IMAGE" --port 0 --store "file:$STORE" --json --quiet ${args} --seed "$SEED"`,
      { ...env, SEED: seed },
    );
    const report = JSON.parse(out);
    const row = rows.find((each) => each.way === way);
    row.seconds.push(seconds);
    row.phases.push(report.seconds);
    row.scratchBytes = Math.max(row.scratchBytes ?? 0, watched.largestBytes);
    snapshotBytes = report.snapshot?.sizeBytes ?? snapshotBytes;
    say(`start ${way} ${round}: ${seconds.toFixed(2)} s`);
    await requireRows(report.container);
    if (way === 'hit' && dumpSeconds === undefined) dumpSeconds = await dump(report.container);
  }

  async function requireRows(container) {
    const count = 'select count(*) from pgbench_accounts';
    const rowCount = await world.docker('exec', container, 'psql', '-XAtUpostgres', '-c', count);
    if (rowCount !== String(100_000 * scale)) throw new Error(`${rowCount} rows after a start`);
  }

  async function dump(container) {
    const { seconds } = await world.run(
      'docker exec --user postgres "$CONTAINER" pg_dump -Fc postgres >"$DUMP"',
      { ...env, CONTAINER: container },
    );
    say(`pg_dump -Fc: ${seconds.toFixed(2)} s`);
    return seconds;
  }

  await world.run('mkdir "$TMPDIR"', env);
  try {
    for (let round = 1; round <= pairs; round += 1) {
      await world.run('rm -rf "$STORE"', env);
      for (const start of starts) {
        await once(start, round);
        await stop();
      }
    }
  } finally {
    await stop().catch(() => undefined); // there is none after the last round
  }
  return { scale, rows, snapshotBytes, dumpSeconds };
}

/** Looks at a folder now and then, and keeps its largest size, in bytes on disk. */
function watchFolder(folder) {
  const watched = { largestBytes: 0, [Symbol.dispose]: () => clearInterval(timer) };
  const timer = setInterval(() => {
    watched.largestBytes = Math.max(watched.largestBytes, sizeOf(folder));
  }, 100);
  return watched;
}

function sizeOf(folder) {
  try {
    const files = readdirSync(folder, { recursive: true }).map((name) => join(folder, name));
    return files.reduce((sum, file) => sum + statSync(file).blocks * 512, 0);
  } catch {
    return 0; // something in it went while we looked: the next look will do
  }
}
