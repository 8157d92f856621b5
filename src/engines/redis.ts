import { createHash } from 'node:crypto';

import type { Credentials, DataState, Endpoint, Engine, ReadDataFile } from './engine.ts';
import { readRdb } from './rdb.ts';
import { downgradeProblem, plainVersion } from './versions.ts';

// Redis and Valkey: one contract, two families of data files.

interface Family {
  readonly id: 'redis' | 'valkey';
  readonly name: string;
  readonly defaultImage: string;
  readonly imageNames: readonly string[];
  readonly client: string;
  /** Where the clients look for the password. */
  readonly passwordVariables: readonly string[];
  readonly imageVersion: Engine['imageVersion'];
}

/** Redis, in the official image and those that keep its contract: https://hub.docker.com/_/redis */
export const redis = familyEngine({
  id: 'redis',
  name: 'Redis',
  defaultImage: 'redis:8',
  imageNames: ['redis', 'redis-stack-server'],
  client: 'redis-cli',
  passwordVariables: ['REDISCLI_AUTH'],
  imageVersion: ({ env }) => plainVersion(env['REDIS_VERSION'] ?? env['REDIS_DOWNLOAD_URL']),
});

/** Valkey, in its own image: https://hub.docker.com/r/valkey/valkey */
export const valkey = familyEngine({
  id: 'valkey',
  name: 'Valkey',
  defaultImage: 'valkey/valkey:8',
  imageNames: ['valkey'],
  client: 'valkey-cli',
  passwordVariables: ['REDISCLI_AUTH', 'VALKEYCLI_AUTH'],
  imageVersion: ({ env }) => plainVersion(env['VALKEY_VERSION']),
});

function familyEngine(family: Family): Engine {
  const { id, name, client } = family;

  const clientPassword = ({ password }: Credentials): Record<string, string> =>
    password === ''
      ? {}
      : Object.fromEntries(family.passwordVariables.map((variable) => [variable, password]));

  const url = ({ host, port, password, database }: Endpoint): string =>
    `redis://${password === '' ? '' : `:${encodeURIComponent(password)}@`}${host}:${port}/${database}`;

  const shell = (script: string, credentials: Credentials) => ({
    command: ['sh', '-c', script],
    env: clientPassword(credentials),
  });

  return {
    id,
    imageNames: family.imageNames,
    defaultImage: family.defaultImage,
    defaults: { user: 'default', password: '', database: '0' },

    credentialsProblem({ user, database }) {
      if (user !== 'default') {
        return `user: ${name} has only the user "default" here; others are not part of its data, and would be gone after a restore`;
      }
      return /^\d{1,5}$/.test(database)
        ? undefined
        : `database: "${database}" is not a number, as ${name} has them`;
    },

    port: () => 6379,
    location: () => ({ mountPath: '/data', dataPath: '/data' }),

    // The server takes no password from its environment; this is for the clients in the container.
    containerEnv: clientPassword,
    credentialArgs: ({ password }) => (password === '' ? [] : defaultUser(password)),

    // No snapshots while tests run; what ours hold is written by `shutdown`, whatever the save points are.
    relaxedArgs: ['--save', '', '--appendfsync', 'no'],
    initPath: undefined,

    // The answer counts, not the exit code: that of LOADING or NOAUTH is 0, too.
    readiness: (credentials) =>
      shell(
        `answer=$(${client} -n ${credentials.database} ping 2>&1); echo "$answer"; test "$answer" = PONG`,
        credentials,
      ),

    url,
    clientEnv: (endpoint) => ({ REDIS_URL: url(endpoint), ...clientPassword(endpoint) }),

    // SIGTERM writes no dump where there are no save points: https://redis.io/docs/latest/commands/shutdown/
    shutdown: (credentials) => ({
      command: [client, 'shutdown', 'save'],
      env: clientPassword(credentials),
    }),
    cleanExitCodes: [0],

    pausable: (credentials) => ({
      // Switched on while it runs, they hold everything only when the first rewrite has ended.
      ...shell(
        `test "$(${client} info persistence | tr -d '\\r' | grep -cxE 'aof_(enabled:1|rewrite_in_progress:0|rewrite_scheduled:0)')" = 3`,
        credentials,
      ),
      refusal: `${name} without "--appendonly yes" keeps its data in memory: a paused copy would lose it`,
    }),

    dataFolder: (credentials) => shell(`${client} config get dir`, credentials),

    // db0:keys=3,expires=1,avg_ttl=0. Without the heading it was no answer.
    itemCount: (credentials) =>
      shell(
        `${client} info keyspace | awk -F '[=,]' '/^# Keyspace/ { ok = 1 } /^db/ { n += $2 - $4 } END { if (!ok) exit 1; print n + 0 }'`,
        credentials,
      ),

    dataState: (read) => readDataState(name, read),
    imageVersion: family.imageVersion,
    versionProblem: downgradeProblem,
  };
}

/**
 * Not --requirepass: the password would be among the arguments of a process, and Valkey stumbles over quotes in it.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
 */
function defaultUser(password: string): string[] {
  const hash = createHash('sha256').update(password).digest('hex');
  return ['--user', 'default', 'on', `#${hash}`, 'allkeys', 'allchannels', 'allcommands'];
}

/**
 * What is in dump.rdb and in the append-only files: since 7 those are named by a manifest, and begin with a dump.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
 */
async function readDataState(name: string, read: ReadDataFile): Promise<DataState> {
  const dump = await read('dump.rdb');
  const appendOnly = await readAppendOnly(read);
  if (dump === undefined && appendOnly === undefined) {
    return {
      version: null,
      mark: 'neither dump.rdb nor append-only files',
      unusable: `${name} has written neither dump.rdb nor append-only files to its volume, it would be an empty snapshot`,
    };
  }
  const dumps = [dump, appendOnly?.base].flatMap((bytes) => (bytes ? [readRdb(bytes)] : []));
  const broken = dumps.find((each) => each.problem !== undefined);
  const marks = [...(dump ? ['dump.rdb'] : []), ...(appendOnly ? ['append-only files'] : [])];
  return {
    version: dumps.find(({ version }) => version !== undefined)?.version ?? null,
    mark: marks.join(' and '),
    empty: dumps.every(({ empty }) => empty) && !(appendOnly?.hasCommands ?? false),
    ...(broken && { unusable: broken.problem }),
  };
}

interface AppendOnly {
  readonly base: Buffer | undefined;
  readonly hasCommands: boolean;
}

async function readAppendOnly(read: ReadDataFile): Promise<AppendOnly | undefined> {
  const folder = 'appendonlydir';
  const manifest = await read(`${folder}/appendonly.aof.manifest`);
  if (manifest === undefined) {
    const single = await read('appendonly.aof'); // up to 6
    return single && { base: undefined, hasCommands: single.length > 0 };
  }
  const files = [...manifest.toString('utf8').matchAll(/^file (\S+) .*type ([bi])/gm)];
  const contents = await Promise.all(
    files.map(async ([, file, type]) => ({ type, bytes: await read(`${folder}/${file ?? ''}`) })),
  );
  return {
    base: contents.find(({ type }) => type === 'b')?.bytes,
    hasCommands: contents.some(({ type, bytes }) => type === 'i' && (bytes?.length ?? 0) > 0),
  };
}
