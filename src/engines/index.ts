import { AppError } from '../errors.ts';
import type { Engine } from './engine.ts';
import { genericEngine, type GenericOptions } from './generic.ts';
import { locationOf } from './location.ts';
import { mongodb } from './mongodb.ts';
import { mariadb, mysql } from './mysql.ts';
import { postgres } from './postgres.ts';
import { presets } from './presets.ts';
import { redis, valkey } from './redis.ts';

export { credentialsIn, uncleanProgram, unknownProgram } from './foreign.ts';

/** One row an engine. */
const engines: readonly Engine[] = [postgres, mysql, mariadb, mongodb, redis, valkey];

export const engineIds: readonly string[] = [...engines, ...presets, { id: 'generic' }].map(
  ({ id }) => id,
);

/**
 * The engine named, else the one whose image this is.
 * @throws `invalid-settings`; also for `options` that an engine with knowledge of its own would not look at
 */
export function chooseEngine(
  id: string | undefined,
  image: string | undefined,
  options: GenericOptions,
): Engine {
  const repository = repositoryName(image ?? '');
  const wanted = (each: {
    readonly id: string;
    readonly imageNames: readonly string[];
  }): boolean => (id === undefined ? each.imageNames.includes(repository) : each.id === id);
  const engine = engines.find(wanted);
  if (engine) {
    refuseOptions(engine, options);
    const { dataPath } = options;
    if (dataPath === undefined) return engine;
    return { ...engine, location: (image) => locationOf(image, dataPath) };
  }
  const preset = presets.find(wanted);
  if (preset || id === 'generic') return genericEngine(options, preset);
  throw new AppError(
    'invalid-settings',
    id === undefined
      ? `cannot tell the engine from the image "${image ?? ''}"`
      : `unknown engine "${id}"`,
    { hint: `Set "engine" to one of: ${engineIds.join(', ')}` },
  );
}

/** The engine whose image this is, `undefined` for any other program. */
export function engineOf(image: string): Engine | undefined {
  const repository = repositoryName(image);
  const preset = presets.find(({ imageNames }) => imageNames.includes(repository));
  return (
    engines.find(({ imageNames }) => imageNames.includes(repository)) ??
    (preset && genericEngine(noOptions, preset))
  );
}

const noOptions: GenericOptions = {
  dataPath: undefined,
  port: undefined,
  readyCommand: undefined,
  url: undefined,
};

function refuseOptions({ id }: Engine, options: GenericOptions): void {
  const given = [
    ...(options.port === undefined ? [] : ['container-port']),
    ...(options.readyCommand === undefined ? [] : ['ready-command']),
    ...(options.url === undefined ? [] : ['url']),
  ];
  if (given.length === 0) return;
  throw new AppError('invalid-settings', `engine ${id} does not take ${given.join(', ')}`, {
    hint: 'Leave them out, or set "engine" to generic',
  });
}

/** `ghcr.io/acme/postgres:17@sha256:...` -> `postgres` */
function repositoryName(image: string): string {
  return (image.split('/').at(-1) ?? '').replace(/[:@].*$/, '');
}
