import { randomBytes } from 'node:crypto';

import { docker } from './docker-cli.ts';
import { testImage } from './images.ts';
import { query } from './postgres.ts';

// What a compose file makes, made with plain engine calls and the labels of compose: a Postgres, a Redis, and a client
// that writes to both all the time and has both volumes mounted.

export interface Stack extends AsyncDisposable {
  readonly project: string;
  readonly database: string;
  readonly cache: string;
  readonly client: string;
  readonly volumes: { readonly database: string; readonly cache: string };
  /** All three, as they are to be found running. */
  readonly containers: readonly string[];
}

const postgres = testImage('postgres:17');
const redis = testImage('redis:7');
export const cachePassword = 'pass word';

/** Ends between two commands; a row is counted in the file once it is committed. */
const clientScript = `trap 'exit 0' TERM
i=$(psql --host "$DB" --username postgres --no-align --tuples-only --command 'select coalesce(max(id), 0) from item')
while :; do
  i=$((i + 1))
  psql --quiet --host "$DB" --username postgres --command "insert into item values ($i, md5('$i'))" &&
    echo "$i" >>/cache/rows
done`;

export async function startStack(
  project = `stack-${randomBytes(4).toString('hex')}`,
): Promise<Stack> {
  const [database, cache, client] = ['db', 'cache', 'client'].map((name) => `${project}-${name}-1`);
  if (!database || !cache || !client) throw new Error('a stack has three containers');
  const volumes = { database: `${project}_pg`, cache: `${project}_cache` };
  const stack: Stack = {
    ...{ project, database, cache, client, volumes, containers: [database, cache, client] },
    async [Symbol.asyncDispose]() {
      await docker('rm', '--force', '--volumes', database, cache, client);
      await docker('volume', 'rm', '--force', volumes.database, volumes.cache);
      await docker('network', 'rm', project);
    },
  };
  const compose = (service: string): string[] => [
    ...['--label', `com.docker.compose.project=${project}`],
    ...['--label', `com.docker.compose.service=${service}`],
    ...['--network', project],
  ];
  await docker('network', 'create', project);
  for (const [name, volume] of Object.entries({ pg: volumes.database, cache: volumes.cache })) {
    const labels = { project, volume: name };
    const given = Object.entries(labels).flatMap(([key, value]) => [
      ...['--label', `com.docker.compose.${key}=${value}`],
    ]);
    await docker('volume', 'create', ...given, volume);
  }
  await docker(
    ...['run', '--detach', '--name', database, ...compose('db')],
    ...['--env', 'POSTGRES_HOST_AUTH_METHOD=trust', '--publish', '127.0.0.1::5432'],
    ...['--volume', `${volumes.database}:/var/lib/postgresql/data`, postgres],
  );
  await docker(
    ...['run', '--detach', '--name', cache, ...compose('cache'), '--restart', 'unless-stopped'],
    ...['--volume', `${volumes.cache}:/data`, redis],
    ...['redis-server', '--save', '', '--requirepass', cachePassword],
  );
  await untilServes(database);
  await query(database, 'create table item (id int primary key, name text not null)');
  await docker(
    ...['run', '--detach', '--name', client, ...compose('client'), '--env', `DB=${database}`],
    ...[
      '--label',
      'com.docker.compose.depends_on=db:service_started:false,cache:service_started:false',
    ],
    ...['--volume', `${volumes.database}:/pg`, '--volume', `${volumes.cache}:/cache`],
    ...['--entrypoint', 'sh', postgres, '-c', clientScript],
  );
  return stack;
}

/** Over TCP: the server that an empty folder is initialised with does not listen there. */
export async function untilServes(container: string): Promise<void> {
  const ask =
    'until psql --host 127.0.0.1 --username postgres --command "select 1"; do sleep 0.1; done';
  await docker('exec', container, 'sh', '-c', ask);
}

export function redisCli(container: string, ...command: string[]): Promise<string> {
  const env = ['--env', `REDISCLI_AUTH=${cachePassword}`];
  return docker('exec', ...env, container, 'redis-cli', '--no-auth-warning', ...command);
}

/** The number of rows that the client has counted. */
export function countedRows(client: string): Promise<string> {
  return docker('exec', client, 'sh', '-c', 'wc -l </cache/rows');
}

export async function runningOf(containers: readonly string[]): Promise<string[]> {
  const states = await docker('inspect', '--format', '{{.Name}} {{.State.Status}}', ...containers);
  return states
    .split('\n')
    .filter((line) => line.endsWith(' running'))
    .map((line) => line.replace(/^\/(.*) running$/, '$1'));
}

/** What snapvol keeps in the engine while it is at work, by name. */
export async function unfinishedWork(): Promise<string> {
  const volumes = await docker('volume', 'ls', '--quiet', '--filter', 'label=dev.snapvol.maker');
  const helpers = await docker(
    ...['ps', '--all', '--format', '{{.Names}}', '--filter', 'label=dev.snapvol.maker'],
  );
  const images = await docker('images', '--quiet', 'snapvol-empty');
  return [volumes, helpers, images].join('\n').trim();
}
