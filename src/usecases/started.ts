import { AppError } from '../errors.ts';
import { nameLabel, nameLabels, scopeLabels, withPurpose, type Owner } from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';

type Name = Pick<Owner, 'scope' | 'name'>;

/** Those that run, else those that have ended. */
async function listStarted(
  runtime: ContainerRuntime,
  { scope, name }: Name,
  signal?: AbortSignal,
): Promise<readonly ContainerState[]> {
  const labels = withPurpose(nameLabels(scope, name), 'database');
  const found = await runtime.listContainers(labels, signal);
  const running = found.filter((each) => each.running);
  return running.length > 0 ? running : found;
}

/**
 * The database that was started under this name, running or not.
 * @throws `container-missing`; `name-taken` where several were: steps of a job may give none
 */
export async function requireStarted(
  runtime: ContainerRuntime,
  owner: Name,
  signal: AbortSignal,
): Promise<ContainerState> {
  const [found, ...others] = await listStarted(runtime, owner, signal);
  if (!found) throw await notStarted(runtime, owner);
  if (others.length === 0) return found;
  const names = [found, ...others].map((each) => each.name).join(', ');
  throw new AppError('name-taken', `several databases are named ${owner.name}: ${names}`, {
    hint: 'Give each a "name" of its own where it is started',
  });
}

/** Names stay unique within a scope when this is asked before `start`. @throws `name-taken` */
export async function requireNameFree(
  runtime: ContainerRuntime,
  owner: Name,
  signal?: AbortSignal,
): Promise<void> {
  const [taken] = await listStarted(runtime, owner, signal);
  if (!taken) return;
  const state = taken.running ? 'is running' : `has ended with exit code ${taken.exitCode}`;
  throw new AppError(
    'name-taken',
    `there is a database named ${owner.name} already: the container ${taken.name} ${state}`,
    { hint: `Remove it with "snapvol stop ${owner.name}", or choose another name` },
  );
}

/** The error for a name under which nothing was started, with the names that there are. */
export async function notStarted(
  runtime: ContainerRuntime,
  { scope, name }: Name,
): Promise<AppError> {
  const others = await runtime.listContainers(withPurpose(scopeLabels(scope), 'database'));
  const names = others.map(({ labels }) => labels[nameLabel] ?? '').sort();
  return new AppError('container-missing', `no database named ${name} was started`, {
    hint: names.length === 0 ? 'There is none at all' : `There is: ${names.join(', ')}`,
  });
}
