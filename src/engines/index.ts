import { AppError } from '../errors.ts';
import type { Engine } from './engine.ts';
import { genericEngine, type GenericOptions } from './generic.ts';
import { postgres } from './postgres.ts';

/** One row an engine. */
const engines: readonly Engine[] = [postgres];

export const engineIds: readonly string[] = [...engines.map((engine) => engine.id), 'generic'];

/** The engine named, else the one whose image this is. @throws `invalid-settings` */
export function chooseEngine(
  id: string | undefined,
  image: string | undefined,
  generic: Omit<GenericOptions, 'readyCommand'> & { readonly readyCommand: string | undefined },
): Engine {
  if (id === 'generic') {
    if (generic.readyCommand === undefined) {
      throw new AppError('invalid-settings', 'engine generic needs "ready-command"', {
        hint: 'Give a shell command that exits 0 inside the container when the database serves',
      });
    }
    return genericEngine({ ...generic, readyCommand: generic.readyCommand });
  }
  const found =
    id !== undefined
      ? engines.find((engine) => engine.id === id)
      : engines.find((engine) => engine.imageNames.includes(repositoryName(image ?? '')));
  if (found) return found;
  throw new AppError(
    'invalid-settings',
    id !== undefined
      ? `unknown engine "${id}"`
      : `cannot tell the engine from the image "${image ?? ''}"`,
    { hint: `Set "engine" to one of: ${engineIds.join(', ')}` },
  );
}

/** `ghcr.io/acme/postgres:17@sha256:...` -> `postgres` */
function repositoryName(image: string): string {
  return (image.split('/').at(-1) ?? '').replace(/[:@].*$/, '');
}
