import type { ContainerRuntime, ContainerSpec } from '../../src/runtime/runtime.ts';

/** The runtime, with every container changed before it is created. */
export function withSpec(
  runtime: ContainerRuntime,
  change: (spec: ContainerSpec) => ContainerSpec,
): ContainerRuntime {
  return {
    ...runtime,
    createContainer: (spec, signal) => runtime.createContainer(change(spec), signal),
  };
}

/** The runtime, as an engine that sees another folder where our scratch folders are. */
export function withScratchAt(runtime: ContainerRuntime, folder: string): ContainerRuntime {
  return withSpec(runtime, (spec) => ({
    ...spec,
    mounts: spec.mounts.map((mount) =>
      mount.type === 'bind' ? { ...mount, source: folder } : mount,
    ),
  }));
}

/** The runtime, with `onCall` told of each call once it is under way: the number of the call, and the verb. */
export function observed(
  runtime: ContainerRuntime,
  onCall: (number: number, verb: string) => void,
): ContainerRuntime {
  let calls = 0;
  // Casts: what goes in and out of the verbs stays as it is.
  const verbs = Object.entries(runtime) as [string, (...args: unknown[]) => unknown][];
  const watched = verbs.map(([verb, call]) => [
    verb,
    (...args: unknown[]) => {
      const result = call(...args);
      calls += 1;
      onCall(calls, verb);
      return result;
    },
  ]);
  return Object.fromEntries(watched) as ContainerRuntime;
}
