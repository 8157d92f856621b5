import { join } from 'node:path';

import { testImage } from './world.mjs';

export const cli = '"$NODE" dist/cli.js';

/**
 * Postgres databases that snapvol starts, with the tables of pgbench: those of one scale from the same snapshot. Disposing
 * of them stops all, and their clones.
 */
export function openDatabases(world) {
  const names = [];
  const env = {
    ...{ NODE: process.execPath, IMAGE: testImage('postgres:17'), TMPDIR: world.scratch },
    STORE: join(world.scratch, 'reset-store'),
    SEED: 'docker exec --user postgres "$SNAPVOL_CONTAINER" pgbench --initialize --quiet --scale "$SCALE" postgres',
  };
  /** Bash with all that `start` needs. */
  const run = (script, more) => world.run(script, { ...env, ...more });
  const psql = (container, ...statements) => {
    const commands = statements.flatMap((each) => ['--command', each]);
    return world.docker('exec', container, ...'psql -XqAt -U postgres'.split(' '), ...commands);
  };

  return {
    ...{ run, psql },

    async start(name, { scale, reset }) {
      names.push(name);
      const { out } = await run(start('$RESET'), { NAME: name, SCALE: scale, RESET: reset });
      return JSON.parse(out).container;
    },

    /** How long each statement takes, by psql's own clock. */
    async times(container, ...statements) {
      const said = await psql(container, '\\timing on', ...statements);
      return [...said.matchAll(/^Time: ([\d.]+) ms/gm)].map(([, ms]) => Number(ms) / 1000);
    },

    /** What was written to a database that shows its golden volume by an overlay: on disk, in bytes. */
    async layerBytes(name) {
      const filters = [`label=dev.snapvol.name=${name}`, 'label=dev.snapvol.purpose=layer'];
      const { out } = await world.run(
        `docker volume ls --quiet ${filters.map((each) => `--filter ${each}`).join(' ')} |
          xargs docker volume inspect --format '{{.Mountpoint}}' | xargs du -s -B1 | cut -f1`,
      );
      return Number(out);
    },

    stop: (name) => world.command(process.execPath, 'dist/cli.js', 'stop', name, '--quiet'),

    async [Symbol.asyncDispose]() {
      for (const name of names) await this.stop(name).catch(() => undefined); // it was not started, or is stopped
    },
  };
}

/** For bash: the database $NAME of $SCALE, from the snapshot where there is one. */
export const start = (reset) =>
  `${cli} start "$NAME" --image "$IMAGE" --port 0 --store "file:$STORE" --save true --key "scale-$SCALE" \\
    --reset "${reset}" --seed "$SEED" --json --quiet`;
