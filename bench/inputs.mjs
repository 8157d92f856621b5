import { createCipheriv } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { testImage } from './world.mjs';

const inputLabel = 'snapvol.benchmark.input';

/**
 * Bytes that look random and are the same on every machine. Half of each page is zeros: about what databases hold,
 * as compressors see it.
 */
function pages(name) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, name), Buffer.alloc(16));
  const zeros = Buffer.alloc(4096);
  return (count) => {
    const random = cipher.update(Buffer.alloc(4096 * count));
    const halves = Array.from({ length: count }, (_, i) =>
      random.subarray(4096 * i, 4096 * (i + 1)),
    );
    return Buffer.concat(halves.flatMap((half) => [half, zeros]));
  };
}

/** Runs a server on the volume until `script`, with its container in $SERVER, has filled it, and stops it cleanly. */
async function fillByServer(world, volume, { image, mountPath, args, script }) {
  const server = `${world.id}-server`;
  await world.docker(
    ...['run', '--detach', '--name', server, '--label', world.label, '--stop-timeout', '120'],
    ...['--volume', `${volume.name}:${mountPath}`, ...args, image],
  );
  await world.run(script, { SERVER: server });
  await world.run('docker stop "$SERVER" && [[ $(docker wait "$SERVER") == 0 ]]', {
    SERVER: server,
  });
  await world.docker('rm', server);
}

/** Asked over TCP: the server that initialises the folder does not listen there. */
const waitFor = (question) => `for ((i = 0; i < 600; i++)); do
  if docker exec "$SERVER" ${question} >/dev/null 2>&1; then break; fi
  sleep 0.2
done`;

const postgres = (scale) => ({
  name: `postgres-${scale}`,
  engine: 'postgres',
  title: `Postgres 17, pgbench of scale ${scale}`,
  fill: (world, volume) =>
    fillByServer(world, volume, {
      image: testImage('postgres:17'),
      mountPath: '/var/lib/postgresql/data',
      args: ['--env', 'POSTGRES_PASSWORD=postgres'],
      script: `${waitFor('pg_isready --host 127.0.0.1')}
        docker exec --user postgres "$SERVER" pgbench --initialize --quiet --scale ${scale} postgres`,
    }),
});

const mysqlRows = 150_000;
const mysql = () => ({
  name: 'mysql',
  engine: 'mysql',
  title: `MySQL 9.7, ${mysqlRows.toLocaleString('en')} rows`,
  fill: (world, volume) =>
    fillByServer(world, volume, {
      image: testImage('mysql:9.7'),
      mountPath: '/var/lib/mysql',
      args: ['--env', 'MYSQL_ROOT_PASSWORD=mysql', '--env', 'MYSQL_DATABASE=shop'],
      script: `client='mysql --protocol=tcp --host=127.0.0.1 --user=root --password=mysql shop'
        ${waitFor('$client --execute "select 1"')}
        docker exec "$SERVER" $client --execute "
          create table item (id int primary key, name char(64) not null);
          set cte_max_recursion_depth = ${mysqlRows};
          insert into item with recursive n (i) as (select 1 union all select i + 1 from n where i < ${mysqlRows})
            select i, sha2(i, 256) from n;"`,
    }),
});

/** 1,000 folders with files of up to 4 kB, or fewer for less. */
const files = (count) => ({
  name: `files-${count}`,
  title: `${count.toLocaleString('en')} small files`,
  fill(_, { folder }) {
    const next = pages('files');
    for (let i = 0; i < count; i += 1) {
      const parent = join(folder, `folder-${i % 1000}`);
      if (i < 1000) mkdirSync(parent);
      const size = (i * 7919) % 4096;
      writeFileSync(join(parent, `file-${i}`), next(1).subarray(2048, 2048 + size));
    }
  },
});

/** One page in every 16 MB. */
const sparse = (bytes) => ({
  name: `sparse-${bytes / 1e6}`,
  title: `${bytes / 1e9} GB of sparse files`,
  fill(_, { folder }) {
    const next = pages('sparse');
    const fileBytes = bytes / 20;
    for (let i = 0; i < 20; i += 1) {
      const file = openSync(join(folder, `table-${i}`), 'wx');
      ftruncateSync(file, fileBytes);
      for (let at = 0; at < fileBytes; at += 2 ** 24) writeSync(file, next(1), 0, 8192, at);
      closeSync(file);
    }
  },
});

const size = (bytes) => ({
  name: `size-${bytes / 1e6}`,
  title: `${bytes / 1e9} GB in files of 16 MB`,
  fill(_, { folder }) {
    const next = pages('size');
    for (let at = 0; at < bytes; at += 16e6) {
      const half = Math.min(16e6, bytes - at) / 8192;
      writeFileSync(join(folder, `part-${at / 16e6}`), next(Math.ceil(half)));
    }
  },
});

/** All inputs by the names of `--only`; those of `size` are for the growth with size. */
export const inputsFor = (scale) => ({
  postgres: [postgres(scale)],
  mysql: [mysql()],
  files: [files(scale < 10 ? 1000 * scale : 100_000)],
  sparse: [sparse(scale < 10 ? 100e6 * scale : 2e9)],
  size: (scale < 10 ? [10e6, 100e6] : [100e6, 1e9, 10e9]).map(size),
});

/**
 * Makes the volume of an input, or takes the one that an earlier run has kept. A second, empty volume says that the
 * first is whole.
 */
export async function withInput(world, input, work) {
  const name = `snapvol-benchmark-input-${input.name}`;
  const whole = `${name}-whole`;
  const there = await world.volumes(name);
  if (!there.includes(whole) && there.includes(name)) await world.removeVolume(name);
  const volume = await world.createVolume(name, `${inputLabel}=${input.name}`);
  try {
    if (!there.includes(whole)) {
      await input.fill(world, volume);
      if (world.keep) await world.createVolume(whole, `${inputLabel}=${input.name}`);
    }
    return await work({ ...input, volume });
  } finally {
    await world.removeContainers();
    if (!world.keep) {
      await world.removeVolume(name);
      if (there.includes(whole)) await world.removeVolume(whole);
    }
  }
}
