import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { root, testImage } from './world.mjs';

/** Names, kinds, owners, modes, sizes, links, times of files to the second, and all contents. */
const fingerprint = `cd "$FOLDER"
{ find . -type f -printf 'f %m %U:%G %s %P %T@\\n' -o -type l -printf 'l %U:%G %P %l\\n' -o -printf '%y %m %U:%G %P\\n' |
    sed 's/\\.[0-9]*$//' | LC_ALL=C sort
  find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum; } | sha256sum`;

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (
    (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
  );
}

/** How many times as long as `a` it took `b`, round by round: what disturbs a round disturbs both. */
export const ratio = (a, b) => median(a.map((seconds, round) => b[round] / seconds));

/**
 * Runs all ways one after the other, round after round, each time with another one first. What each way brings back is
 * verified in the first round.
 */
export async function measureWays(world, input, ways, { pairs, beforeDir, say }) {
  const { signal } = world;
  const env = {
    ...{ NODE: process.execPath, SCRATCH: world.scratch, LABEL: world.label },
    ...{ DIST: join(root, 'dist'), BEFORE: beforeDir ? join(beforeDir, 'dist') : '' },
    ...(input.engine && { ENGINE: input.engine }),
    ...{ IMAGE: testImage('postgres:17'), BUSYBOX: testImage('postgres:17-alpine') },
    BYTES: (await world.run('du -s -B1 "$FOLDER" | cut -f1', { FOLDER: input.volume.folder })).out,
  };
  const original = (await world.run(fingerprint, { FOLDER: input.volume.folder })).out;
  const fileOf = (way) => join(world.scratch, `${input.name}-${way.name}`);
  const rows = ways.flatMap(({ name: way, title, save: saves }) =>
    [...(saves ? ['save'] : []), 'restore'].map((operation) => ({
      ...{ way, title, operation, seconds: [], facts: [] },
    })),
  );
  const rowOf = ({ name }, operation) =>
    rows.find((row) => row.way === name && row.operation === operation);

  async function save(way, round) {
    if (!way.save) return;
    const FILE = fileOf(way);
    await world.run('rm -rf "$FILE" "$FILE".*', { FILE });
    await world.settle();
    const volume = { VOLUME: input.volume.name, FOLDER: input.volume.folder };
    note(rowOf(way, 'save'), round, await world.run(way.save, { ...env, ...volume, FILE }));
    const { out } = await world.run('du -s -B1 "$FILE" | cut -f1', { FILE });
    rowOf(way, 'save').archiveBytes = Number(out);
  }

  async function restore(way, round) {
    const volume = await world.createVolume(`${world.id}-restored`);
    try {
      const there = { ...env, VOLUME: volume.name, FOLDER: volume.folder, FILE: fileOf(way) };
      await world.settle();
      note(rowOf(way, 'restore'), round, await world.run(way.restore, there));
      if (round === 0 && way.save && !way.partial) await verify(way, volume);
    } finally {
      if (!signal.aborted) await world.removeVolume(volume.name);
    }
  }

  function note(row, round, { seconds, out }) {
    if (out.startsWith('{')) row.facts.push(JSON.parse(out));
    row.seconds.push(seconds);
    say(`${input.name} ${row.operation} ${row.way} ${round}: ${seconds.toFixed(2)} s`);
  }

  async function verify(way, { folder }) {
    const { out } = await world.run(fingerprint, { FOLDER: folder });
    if (out !== original)
      throw new Error(`${way.title} does not bring back ${input.name} as it was`);
  }

  for (let round = 0; round < pairs; round += 1) {
    const turn = round % ways.length;
    const inTurn = [...ways.slice(turn), ...ways.slice(0, turn)];
    for (const way of inTurn) await save(way, round);
    for (const way of inTurn) await restore(way, round);
  }
  for (const way of ways) {
    if (existsSync(fileOf(way))) await world.run('rm -rf "$FILE" "$FILE".*', { FILE: fileOf(way) });
  }
  return { name: input.name, title: input.title, diskBytes: Number(env.BYTES), rows };
}
