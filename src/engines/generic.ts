import { AppError } from '../errors.ts';
import type { Credentials, Endpoint, Engine, Env } from './engine.ts';
import type { Preset } from './presets.ts';

/** What the user tells of an image; what is absent comes from the preset, or from the image. */
export interface GenericOptions {
  readonly dataPath: string | undefined;
  readonly port: number | undefined;
  /** Shell command that exits 0 inside the container when the database truly serves. */
  readonly readyCommand: string | undefined;
  /** With `{host}`, `{port}`, `{user}`, `{password}` and `{database}`. */
  readonly url: string | undefined;
}

const unknownImage: Omit<Preset, 'defaultImage' | 'port' | 'dataPath' | 'ready'> = {
  id: 'generic',
  imageNames: [],
  defaults: { user: '', password: '', database: '' },
  env: {},
  url: '{host}:{port}',
};

/**
 * Any image, known by what the user tells or by a preset. Its clean stop is its exit code, and a mark of its own
 * where the preset knows one. @throws `invalid-settings` when nothing says when it is ready
 */
export function genericEngine(options: GenericOptions, preset?: Preset): Engine {
  const known = preset ?? unknownImage;
  const ready = options.readyCommand === undefined ? preset?.ready : shell(options.readyCommand);
  if (ready === undefined) {
    throw new AppError('invalid-settings', 'engine generic needs "ready-command"', {
      hint: 'Give a shell command that exits 0 inside the container when the database serves',
    });
  }
  return {
    id: known.id,
    imageNames: known.imageNames,
    defaultImage: preset?.defaultImage,
    defaults: known.defaults,

    credentialsProblem: (credentials) =>
      preset && options.url === undefined
        ? (unused(preset, credentials) ?? broken(preset, credentials))
        : undefined,

    port: (image) =>
      options.port ??
      preset?.port ??
      onlyOne(
        image.ports,
        `the image ${image.reference} exposes ${image.ports.length} ports, which one is the database's?`,
        'Set "container-port"',
      ),

    location(image) {
      const dataPath =
        options.dataPath ??
        preset?.dataPath ??
        onlyOne(
          image.volumes,
          `the image ${image.reference} declares ${image.volumes.length} volumes, where is its data?`,
          'Set "data-path"',
        );
      return { mountPath: dataPath, dataPath };
    },

    containerEnv: (credentials) =>
      Object.fromEntries(
        Object.entries(known.env).map(([name, value]) => [name, filled(value, { ...credentials })]),
      ),
    ...(known.emptyPassword && { emptyPassword: known.emptyPassword }),
    ...(known.otherLogin && { otherLogin: known.otherLogin }),
    ...(known.entrypoint && { entrypoint: known.entrypoint }),
    relaxedArgs: [],
    initPath: known.initPath,

    readiness: ({ user, password, database }) => ({
      command: ready,
      env: { SNAPVOL_USER: user, SNAPVOL_PASSWORD: password, SNAPVOL_DATABASE: database },
    }),

    url: (endpoint) => filled(options.url ?? known.url, encoded(endpoint)),
    clientEnv: () => ({}),
    cleanExitCodes: known.cleanExitCodes ?? [0],

    async dataState(read) {
      const file = preset?.runningFile;
      if (file === undefined) return { version: null, mark: 'exit code only' };
      if ((await read(file)) === undefined) return { version: null, mark: `no ${file} file` };
      const unclean = `the file ${file} is still there: the server did not shut down`;
      return { version: null, mark: `${file} file present`, unclean };
    },

    // Nobody knows which versions understand each other's data: the image must be the same one.
    imageVersion: () => undefined,
    versionProblem: () => undefined,
  };
}

const shell = (command: string): readonly string[] => ['sh', '-c', command];

/** What is given and reaches neither the image nor anybody else. */
function unused(preset: Preset, credentials: Credentials): string | undefined {
  const templates = Object.values(preset.env).join(' ');
  const idle = (['user', 'password', 'database'] as const).filter(
    (name) => credentials[name] !== preset.defaults[name] && !templates.includes(`{${name}}`),
  );
  return idle.length === 0
    ? undefined
    : `${idle.join(', ')}: the image of ${preset.id} does not take ${idle.length === 1 ? 'it' : 'them'} from its environment`;
}

function broken({ rules = {} }: Preset, credentials: Credentials): string | undefined {
  return (['user', 'password', 'database'] as const).flatMap((name) => {
    const rule = rules[name];
    return rule && !rule.allows.test(credentials[name]) ? [`${name}: it ${rule.text}`] : [];
  })[0];
}

function onlyOne<T>(values: readonly T[], problem: string, hint: string): T {
  const [only, ...others] = values;
  if (only !== undefined && others.length === 0) return only;
  throw new AppError('invalid-settings', problem, { hint });
}

/** `{name}` replaced by the value of that name; what has none stays. */
function filled(template: string, values: Env): string {
  return template.replaceAll(/\{([a-z]+)\}/g, (whole, name: string) => values[name] ?? whole);
}

function encoded(endpoint: Endpoint): Env {
  return {
    host: endpoint.host,
    port: String(endpoint.port),
    user: encodeURIComponent(endpoint.user),
    password: encodeURIComponent(endpoint.password),
    database: encodeURIComponent(endpoint.database),
  };
}
