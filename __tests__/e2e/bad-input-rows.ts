import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { sqlScript } from '../support/postgres.ts';
import type { Inputs, StepOptions } from '../support/runner.ts';
import { shortPauses } from '../support/short-pauses.ts';

/** What a row needs besides fixed inputs. */
interface Given {
  readonly inputs?: Inputs;
  readonly options?: StepOptions;
  /** Words that only this moment knows. */
  readonly words?: readonly string[];
}

export interface Row {
  readonly what: string;
  readonly inputs?: Inputs;
  readonly given?: (cleanup: AsyncDisposableStack) => Promise<Given>;
  /** What the one error (or the warnings) must say. */
  readonly words: readonly string[];
  /** What to do next. */
  readonly hint: string;
  /** What must be in the log besides. */
  readonly log?: string;
  /** The step goes on with a warning. */
  readonly survives?: true;
}

const generic: Inputs = {
  engine: 'generic',
  env: 'POSTGRES_PASSWORD=postgres',
  'data-path': '/var/lib/postgresql/data',
  'container-port': '5432',
};

const elsewhere: Inputs = { image: testImage('redis:7'), args: '--dir /tmp' };

export const rows: readonly Row[] = [
  {
    what: 'an unknown engine',
    inputs: { engine: 'oracle' },
    words: ['unknown engine "oracle"'],
    hint: 'Set "engine" to one of: postgres, ',
  },
  {
    what: 'an image that does not tell its engine',
    inputs: { image: 'example/base' },
    words: ['cannot tell the engine from the image "example/base"'],
    hint: 'Set "engine" to one of: postgres, ',
  },
  {
    what: 'neither image nor engine',
    inputs: { image: '' },
    words: ['image: give "image"'],
    hint: 'e.g. postgres:17',
  },
  {
    what: 'an image that cannot be pulled',
    inputs: { image: '127.0.0.1:1/postgres:17' },
    words: ['could not pull the image 127.0.0.1:1/postgres:17', 'refused'],
    hint: 'Check the name; if the image is private, run "docker login 127.0.0.1:1"',
  },
  {
    what: 'a key with a comma',
    inputs: { key: 'a,b' },
    words: ['key: the key has a comma'],
    hint: "which GitHub's cache does not allow",
  },
  {
    what: 'a key that is too long',
    inputs: { key: 'k'.repeat(513) },
    words: ['key: the key has 513 characters'],
    hint: 'at most 512 are allowed',
  },
  {
    what: 'several mistakes at once',
    inputs: { port: '70000', save: 'maybe', 'wait-timeout': 'soon', compression: 'gzip' },
    words: ['4 settings are wrong', '"70000" is not a port', '"maybe" is not one of', '"soon"'],
    hint: '"gzip" is not auto, zstd:1 ... zstd:19 or none',
  },
  {
    what: 'an unknown store',
    inputs: { store: 'ftp://example.org' },
    words: ['store: "ftp://example.org" is not a store'],
    hint: 'actions-cache, artifact, artifact:run=ID, artifact:latest@BRANCH, or file:DIR',
  },
  {
    what: 'a run that is no number',
    inputs: { store: 'artifact:run=latest' },
    words: ['store: "artifact:run=latest"'],
    hint: "a run's ID is a number, as in the address of its page",
  },
  {
    what: 'days for a store that has none',
    inputs: { 'retention-days': '7' },
    words: ['retention-days: '],
    hint: 'only the store artifact has it',
  },
  {
    what: 'key files that match nothing',
    inputs: { 'key-files': 'db/migrations/**' },
    words: ['key-files: no file matches "db/migrations/**"'],
    hint: 'actions/checkout',
  },
  {
    what: 'no container engine',
    inputs: {},
    given: () =>
      Promise.resolve({ options: { env: { DOCKER_HOST: 'unix:///nonexistent/docker.sock' } } }),
    words: [
      'no container engine answers at unix:///nonexistent/docker.sock, given by DOCKER_HOST (ENOENT)',
    ],
    hint: 'Start one (sudo systemctl start docker, or Docker Desktop), or choose another with DOCKER_HOST',
  },
  {
    what: "a container engine of somebody else's",
    given: async (cleanup) => {
      const folder = await mkdtemp(join(tmpdir(), 'snapvol-engine-'));
      cleanup.defer(() => rm(folder, { recursive: true }));
      const socket = join(folder, 'docker.sock');
      const server = cleanup.use(createServer()).listen(socket);
      await once(server, 'listening');
      await chmod(folder, 0o755);
      await chmod(socket, 0);
      const isRoot = process.getuid?.() === 0;
      return {
        options: { env: { DOCKER_HOST: `unix://${socket}` }, uid: isRoot ? 65_534 : undefined },
      };
    },
    words: ["permission denied on the container engine's socket"],
    hint: 'Add this user to the "docker" group',
  },
  {
    what: 'a port that a process listens on',
    given: async (cleanup) => {
      const server = cleanup.use(createServer()).listen({ host: '127.0.0.1', port: 0 });
      await once(server, 'listening');
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('a port was asked for');
      const { port } = address;
      return {
        inputs: { port: String(port) },
        words: [`port ${port} is taken by `, `(pid ${process.pid})`],
      };
    },
    words: [],
    hint: 'set "port" to another one',
  },
  {
    what: 'a port that a container has',
    given: async (cleanup) => {
      const name = `snapvol-test-${randomInt(1e9)}`;
      const image = testImage('postgres:17');
      const publish = ['--publish', '127.0.0.1::5432', '--env', 'POSTGRES_PASSWORD=x'];
      await docker('run', '--detach', '--rm', '--name', name, ...publish, image);
      cleanup.defer(async () => {
        await docker('rm', '--force', '--volumes', name);
      });
      const port = (await docker('port', name, '5432/tcp')).split(':').at(-1) ?? '';
      return { inputs: { port }, words: [`port ${port} is taken by container ${name}`] };
    },
    words: [],
    hint: '(0 takes any free port)',
  },
  {
    what: 'a data folder outside of the volume',
    inputs: { image: testImage('mariadb:11.8'), args: '--datadir=/srv/data', seed: 'exit 9' },
    words: ['the database keeps its data in /srv/data, not in /var/lib/mysql'],
    hint: 'Set "data-path" to /srv/data',
  },
  {
    what: 'a database that will write its files outside of the volume',
    inputs: { ...elsewhere, seed: 'exit 9' },
    words: ['the database keeps its data in /tmp, not in /data'],
    hint: 'Set "data-path" to /tmp',
  },
  {
    what: 'the same where nothing is to be kept',
    inputs: { ...elsewhere, seed: 'true', save: 'false', reset: 'off' },
    words: ['nothing would be saved: the database keeps its data in /tmp, not in /data'],
    hint: '',
    survives: true,
  },
  {
    what: 'a seed that fails',
    inputs: { seed: 'echo "the seed says why"\nfalse | exit 3\necho unreachable' },
    words: ['seed failed with exit code 3'],
    hint: "Look at the script's own output",
    log: 'the seed says why',
  },
  {
    what: 'a seed that kills the database',
    inputs: { seed: 'docker kill "$SNAPVOL_CONTAINER" >/dev/null' },
    words: ['the database exited with code 137 during seed'],
    hint: 'Look at its last log lines',
    log: 'database system is ready to accept connections',
  },
  {
    what: 'a seed that changes the password of its login',
    inputs: { seed: sqlScript("alter user postgres password 'other';") },
    words: [
      'the login of user "postgres" does not work any more',
      'password authentication failed for user "postgres"',
    ],
    hint: 'Let the seed leave that user, the password and the database as they are',
  },
  {
    what: 'a check that fails after the seed',
    inputs: { seed: sqlScript('create table item ();'), check: sqlScript('select * from other;') },
    words: ['check failed with exit code 3'],
    hint: "Look at the script's own output",
    log: 'relation "other" does not exist',
  },
  {
    what: 'a database that is never ready',
    inputs: { ...generic, 'ready-command': 'echo not yet; false', 'wait-timeout': '1' },
    words: ['the database was not ready within 1 s (last answer: '],
    hint: 'Raise "wait-timeout"',
  },
  {
    what: 'a database that ends at once',
    inputs: { args: '-c no_such_setting=1' },
    words: ['the database exited with code 1 before it was ready'],
    hint: 'Look at its last log lines',
    log: 'unrecognized configuration parameter "no_such_setting"',
  },
  {
    what: 'a network that does not exist',
    inputs: { network: 'no-such-network' },
    words: ['network: the engine has no network no-such-network'],
    hint: 'Make it first',
  },
  {
    what: 'no snapshot where one is wanted',
    inputs: { 'fail-on-miss': 'true' },
    words: ['no snapshot to restore: no snapshot for this key'],
    hint: 'Run the job that saves it first',
  },
  {
    what: "GitHub's cache service being down",
    inputs: { store: 'actions-cache' },
    given: () =>
      Promise.resolve({
        options: {
          env: {
            ACTIONS_CACHE_SERVICE_V2: 'true',
            ACTIONS_RESULTS_URL: 'http://127.0.0.1:1/',
            ACTIONS_RUNTIME_TOKEN: 'none',
            NODE_OPTIONS: shortPauses,
          },
        },
      }),
    words: [
      "GitHub's cache service: could not look up snapvol-postgres-",
      "the snapshot was not saved: GitHub's cache service: could not",
      'ECONNREFUSED',
    ],
    hint: "The cache client's own lines above may say more",
    survives: true,
  },
];
