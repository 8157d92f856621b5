import type { Credentials, DataState, Engine, InnerCommand, ReadDataFile } from './engine.ts';
import { userInfo } from './url.ts';

/**
 * The temporary server for init files listens on 127.0.0.1, over TCP: only the container's own address tells them
 * apart. Ends with an exception, and so with exit code 1, where it is not let in.
 */
function mongosh({ user, password }: Credentials, script: string): InnerCommand {
  const login = 'db.auth(process.env.SNAPVOL_USER, process.env.SNAPVOL_PASSWORD)';
  const run = `exec mongosh --quiet --norc --host "$HOSTNAME" --eval '${login}; ${script}' admin`;
  return {
    command: ['sh', '-c', run],
    env: { SNAPVOL_USER: user, SNAPVOL_PASSWORD: password },
  };
}

/** MongoDB, in the official image and those that keep its contract: https://hub.docker.com/_/mongo */
export const mongodb: Engine = {
  id: 'mongodb',
  imageNames: ['mongo'],
  defaultImage: 'mongo:8',
  defaults: { user: 'root', password: 'mongo', database: 'test' },
  port: () => 27_017,

  // The image declares /data/configdb as well: only members of a sharded cluster's configuration write there.
  location: () => ({ mountPath: '/data/db', dataPath: '/data/db' }),

  containerEnv: ({ user, password, database }) => ({
    MONGO_INITDB_ROOT_USERNAME: user,
    MONGO_INITDB_ROOT_PASSWORD: password,
    MONGO_INITDB_DATABASE: database,
  }),

  // The journal can no longer be turned off: https://www.mongodb.com/docs/manual/release-notes/6.1/
  relaxedArgs: [],
  initPath: '/docker-entrypoint-initdb.d',

  readiness: (credentials) => mongosh(credentials, 'db.adminCommand({ ping: 1 })'),
  // What is neither in its arguments nor in its configuration is the default.
  dataFolder: (credentials) =>
    mongosh(
      credentials,
      'print(db.adminCommand({ getCmdLineOpts: 1 }).parsed.storage?.dbPath ?? "/data/db")',
    ),
  // The journal is written ten times a second only: https://www.mongodb.com/docs/manual/core/journaling/
  flush: (credentials) => mongosh(credentials, 'db.adminCommand({ fsync: 1 })'),

  // The root user is one of the database "admin".
  url({ host, port, database, ...login }) {
    return `mongodb://${userInfo(login)}${host}:${port}/${encodeURIComponent(database)}?authSource=admin`;
  },

  clientEnv: (endpoint) => ({ MONGODB_URI: mongodb.url(endpoint) }),
  cleanExitCodes: [0],
  dataState: readDataState,

  // The data does not say in plain bytes which server may open it: the image must be the same one.
  imageVersion: () => undefined,
  versionProblem: () => undefined,
};

/** The lock file outlives the server, emptied by one that shut down. */
async function readDataState(read: ReadDataFile): Promise<DataState> {
  if ((await read('WiredTiger.wt')) === undefined) {
    return {
      version: null,
      mark: 'no data folder',
      unusable: 'there is no MongoDB data folder in the volume, it would be an empty snapshot',
    };
  }
  const lock = await read('mongod.lock');
  if (lock === undefined || lock.length === 0) return { version: null, mark: 'mongod.lock: empty' };
  const unclean = 'mongod.lock still names a process: the server was not shut down';
  return { version: null, mark: 'mongod.lock: held', unclean };
}
