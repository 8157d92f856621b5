import { AppError, type ErrorCode } from '../../src/errors.ts';
import type {
  ContainerRuntime,
  ContainerState,
  Labels,
  VolumeInfo,
} from '../../src/runtime/runtime.ts';

/** A container or volume: what it is called, and its labels. */
type Things = Readonly<Record<string, Labels>>;

/**
 * An engine that has nothing but names and labels, for what lists and removes. A container uses all volumes that begin with its
 * name. It refuses what `refused` names, a thing or a verb; with `docker-unreachable` it is away from then on.
 */
export function thingsEngine(
  given: { readonly containers: Things; readonly volumes: Things },
  refused: readonly string[] = [],
  code: ErrorCode = 'engine-refused',
) {
  const containers = new Map(Object.entries(given.containers));
  const volumes = new Map(Object.entries(given.volumes));
  let isAway = false;
  const answer = <T>(subject: string, value: () => T): Promise<T> => {
    const isRefused = refused.includes(subject);
    isAway ||= isRefused && code === 'docker-unreachable';
    return isAway || isRefused
      ? Promise.reject(new AppError(code, `could not: ${subject}`, { hint: 'Try again' }))
      : Promise.resolve(value());
  };
  const carrying = <T>(things: ReadonlyMap<string, Labels>, wanted: Labels): T[] =>
    [...things]
      .filter(([, labels]) =>
        Object.entries(wanted).every(([name, value]) => labels[name] === value),
      )
      .map(([name, labels]) => ({ id: name, name, labels }) as T); // no more is asked for
  const runtime: Partial<ContainerRuntime> = {
    listContainers: (labels) =>
      answer('listContainers', () => carrying<ContainerState>(containers, labels)),
    listVolumes: (labels) => answer('listVolumes', () => carrying<VolumeInfo>(volumes, labels)),
    listImages: () => answer('listImages', () => []),
    removeContainer: (id) =>
      answer(id, () => {
        containers.delete(id);
      }),
    removeVolume: async (name) => {
      const user = [...containers.keys()].find((each) => name.startsWith(each));
      if (user) throw new AppError('engine-refused', `could not: ${name} is used by ${user}`);
      return answer(name, () => {
        volumes.delete(name);
      });
    },
  };
  return {
    runtime: runtime as ContainerRuntime, // nothing else is called
    left: () => [...containers.keys(), ...volumes.keys()],
  };
}
