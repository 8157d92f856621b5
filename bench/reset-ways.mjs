import { cli, start } from './databases.mjs';

/** A statement for the server in this container. */
const sql = (container, database, ...statements) =>
  `docker exec "$${container}" psql -XqAt -U postgres -d ${database} ${statements.map((each) => `-c "${each}"`).join(' ')}`;

/** What tests do: some rows, and a table that says whether it is gone. */
const mess = (container) =>
  sql(
    container,
    'postgres',
    'update pgbench_accounts set abalance = 1 where aid % 1000 = 0',
    'create table mess as select 1 as id',
  );

const template = (more) =>
  sql(
    'COPIED',
    'template1',
    'drop database if exists work',
    `create database work template postgres ${more}`,
  );

/**
 * Ways from a database that was written to back to one that was not, as bash scripts. They find in their environment: a
 * database NAME on an overlay with its CONTAINER; COPY, on a copy, with COPIED; and AGAIN, with no golden volume. `prepare`
 * is not measured; `gone` names the container that must have nothing left of what was written.
 */
export const resetWays = [
  {
    name: 'reset',
    title: 'snapvol reset, overlay',
    prepare: mess('CONTAINER'),
    script: `${cli} reset "$NAME" --quiet`,
    gone: 'CONTAINER',
  },
  {
    name: 'reset-copy',
    title: 'snapvol reset, copy',
    prepare: mess('COPIED'),
    script: `${cli} reset "$COPY" --quiet`,
    gone: 'COPIED',
  },
  {
    name: 'server',
    title: 'docker stop and start, until it answers',
    // It has nothing to write when it is stopped.
    prepare: sql('CONTAINER', 'postgres', 'checkpoint'),
    script: `docker stop "$CONTAINER"; docker start "$CONTAINER"
      until ${sql('CONTAINER', 'postgres', 'select 1')} 2>/dev/null; do sleep 0.02; done`,
  },
  {
    name: 'restore',
    title: 'snapvol stop and start, a hit',
    script: `${cli} stop "$AGAIN" --quiet; NAME=$AGAIN; ${start('off')} --fail-on-miss`,
  },
  {
    name: 'template',
    title: 'DROP, CREATE DATABASE … TEMPLATE',
    prepare: template(''),
    script: template(''),
  },
  {
    name: 'file-copy',
    title: 'the same, STRATEGY file_copy',
    prepare: template('strategy file_copy'),
    script: template('strategy file_copy'),
  },
  {
    name: 'seed',
    title: 'seeded again (pgbench -i)',
    script: 'SNAPVOL_CONTAINER=$COPIED; eval "$SEED"',
  },
];

/** Prints 0 where the mess is gone. */
export const countMess = (container) =>
  sql(container, 'postgres', "select count(*) from pg_class where relname = 'mess'");
