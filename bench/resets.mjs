import { openDatabases } from './databases.mjs';
import { countMess, resetWays } from './reset-ways.mjs';

const cloneCounts = [1, 8];

/** Statements to a database that has just been reset, in this order. */
const count = 'select count(*) from pgbench_accounts';
const update = 'update pgbench_accounts set abalance = 1 where aid =';
const uses = [
  { title: 'select 1', sql: 'select 1' },
  { title: 'select count(*), first', sql: count },
  { title: 'select count(*), second', sql: count },
  { title: 'update of a row, first', sql: `${update} 1` },
  { title: 'update of a row, second', sql: `${update} 50000` },
];

/**
 * Resets and clones of a small and a large database, and what their first use costs, beside the other ways to a database
 * that was not written to. Both sizes are there all the time, and take turns. What is in memory stays there, as between
 * two suites of tests.
 */
export async function measureResets(world, scale, { pairs, say }) {
  await using databases = openDatabases(world);
  const sizes = [];
  for (const [size, ofSize] of [
    ['small', Math.ceil(scale / 12)],
    ['large', scale],
  ]) {
    say(`making the ${size} database`);
    sizes.push(await openSize(world, databases, size, ofSize));
  }
  const large = sizes.at(-1);
  const synced = () => world.run('sync');
  const clones = cloneCounts.map((count) => ({
    ...{ count, seconds: [], untouchedBytes: 0, connectedBytes: 0 },
  }));

  for (let round = 0; round < pairs; round += 1) {
    const turn = round % resetWays.length;
    for (const way of [...resetWays.slice(turn), ...resetWays.slice(0, turn)])
      for (const size of sizes) await measureWay(size, way, round);
    for (const row of round % 2 === 0 ? clones : clones.toReversed()) await measureClones(row);
    for (const size of sizes) await measureUses(size);
  }
  const plain = ({ title, scale, goldenBytes, rows, uses }) => ({
    ...{ title, scale, goldenBytes, rows, uses },
  });
  return { sizes: sizes.map(plain), clones };

  async function measureWay({ env, title, rows }, { name, prepare, script, gone }, round) {
    if (prepare) await databases.run(prepare, env);
    await synced();
    const { seconds } = await databases.run(script, env);
    say(`${title} ${name} ${round}: ${seconds.toFixed(2)} s`);
    rows.find(({ way }) => way === name).seconds.push(seconds);
    if (!gone) return;
    const { out } = await databases.run(countMess(gone), env);
    if (out !== '0') throw new Error(`${name} leaves what was written to ${title}`);
  }

  async function measureClones(row) {
    const { NAME } = large.env;
    await synced();
    const { seconds, out } = await databases.run(
      `"$NODE" dist/cli.js clone "$NAME" --count "$COUNT" --json --quiet`,
      { NAME, COUNT: row.count },
    );
    row.seconds.push(seconds);
    say(`${row.count} clones: ${seconds.toFixed(2)} s`);
    const { clones: made } = JSON.parse(out);
    const [{ name, container }] = made;
    row.untouchedBytes = Math.max(row.untouchedBytes, await databases.layerBytes(name));
    await databases.psql(container, 'select 1');
    row.connectedBytes = Math.max(row.connectedBytes, await databases.layerBytes(name));
    for (const each of made) await databases.stop(each.name);
  }

  async function measureUses({ env, uses: ofSize }) {
    for (const { way, name, container, rows, bytes } of ofSize) {
      await databases.run('"$NODE" dist/cli.js reset "$NAME" --quiet', { NAME: env[name] });
      await synced();
      for (const [at, { sql }] of uses.entries()) {
        const [seconds] = await databases.times(env[container], sql);
        rows[at].seconds.push(seconds);
        if (way === 'overlay') bytes[at] = await databases.layerBytes(env[name]);
      }
    }
  }
}

/** The three databases of one size, and empty rows for what is measured with them. */
async function openSize(world, databases, size, scale) {
  const [NAME, COPY, AGAIN] = ['', '-copy', '-again'].map((kind) => `${world.id}-${size}${kind}`);
  // It seeds, so that the others are restored from its snapshot.
  await databases.start(AGAIN, { scale, reset: 'off' });
  const CONTAINER = await databases.start(NAME, { scale, reset: 'overlay' });
  const COPIED = await databases.start(COPY, { scale, reset: 'copy' });
  const { out } = await databases.run(
    `docker exec "$CONTAINER" sh -c 'du -s -B1 "$PGDATA"' | cut -f1`,
    { CONTAINER },
  );
  const rowsOf = () => uses.map(({ title }) => ({ title, seconds: [] }));
  return {
    ...{ scale, title: `Postgres 17, pgbench of scale ${scale}`, goldenBytes: Number(out) },
    env: { NAME, COPY, AGAIN, CONTAINER, COPIED, SCALE: scale },
    rows: resetWays.map(({ name: way, title }) => ({ way, title, seconds: [] })),
    uses: [
      { way: 'overlay', name: 'NAME', container: 'CONTAINER', rows: rowsOf(), bytes: [] },
      { way: 'copy', name: 'COPY', container: 'COPIED', rows: rowsOf(), bytes: [] },
    ],
  };
}
