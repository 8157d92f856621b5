import { AppError } from '../errors.ts';
import { nameLabel, nameLabels, scopeLabels, withPurpose, type Owner } from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';

/** A database that was started under this name, running or not. */
export async function findStarted(
  runtime: ContainerRuntime,
  { scope, name }: Pick<Owner, 'scope' | 'name'>,
  signal?: AbortSignal,
): Promise<ContainerState | undefined> {
  const labels = withPurpose(nameLabels(scope, name), 'database');
  const found = await runtime.listContainers(labels, signal);
  return found.find(({ running }) => running) ?? found[0];
}

/** Names stay unique within a scope when this is asked before `start`. @throws `name-taken` */
export async function requireNameFree(
  runtime: ContainerRuntime,
  owner: Pick<Owner, 'scope' | 'name'>,
  signal?: AbortSignal,
): Promise<void> {
  const taken = await findStarted(runtime, owner, signal);
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
  { scope, name }: Pick<Owner, 'scope' | 'name'>,
): Promise<AppError> {
  const others = await runtime.listContainers(withPurpose(scopeLabels(scope), 'database'));
  const names = others.map(({ labels }) => labels[nameLabel] ?? '').sort();
  return new AppError('container-missing', `no database named ${name} was started`, {
    hint: names.length === 0 ? 'There is none at all' : `There is: ${names.join(', ')}`,
  });
}
