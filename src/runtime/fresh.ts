import { createHash, type Hash } from 'node:crypto';
import type { Readable } from 'node:stream';

import { withIdleContainer } from './idle-container.ts';
import { helperName } from './labels.ts';
import type { ContainerRuntime, Mount } from './runtime.ts';
import { readTar } from './small-tar.ts';
import { pathOf } from './tar-path.ts';
import type { CopyTarget } from './volume-copier.ts';

/** Made by mkfs at the root of a file system, and nobody's data. */
const ignored: ReadonlySet<string> = new Set(['lost+found']);

/**
 * True when a volume or folder holds nothing, or nothing but what the engine has put there: it copies what an image has
 * at a mount point into a new volume (https://docs.docker.com/engine/storage/volumes/).
 * @param mountPath where containers of `target.image` have it mounted; `null` where nobody knows
 */
export async function isFresh(
  runtime: ContainerRuntime,
  target: CopyTarget,
  mountPath: string | null,
  signal: AbortSignal,
): Promise<boolean> {
  const mount: Mount = { ...target.storage, target: '/volume', readOnly: true, noCopy: true };
  let given: ReadonlyMap<string, string> | undefined;
  return withIdleContainer(runtime, lookingInto(target, [mount]), async (id) => {
    const tar = await runtime.getArchive(id, '/volume/.', signal);
    if (!tar) return true;
    for await (const { path, what } of contentsOf(tar)) {
      given ??= await givenBy(runtime, target, mountPath, signal);
      if (given.get(path) !== what) return false;
    }
    return true;
  });
}

/** What the image itself has at `mountPath`. */
async function givenBy(
  runtime: ContainerRuntime,
  target: CopyTarget,
  mountPath: string | null,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  // Into folders of the host it copies nothing.
  if (mountPath === null || target.storage.type === 'bind') return found;
  await withIdleContainer(runtime, lookingInto(target, []), async (id) => {
    const tar = await runtime.getArchive(id, `${mountPath}/.`, signal);
    if (!tar) return;
    for await (const { path, what } of contentsOf(tar)) found.set(path, what);
  });
  return found;
}

/** Not owners, modes and times: a container that has started may have changed those. */
async function* contentsOf(tar: Readable): AsyncGenerator<{ path: string; what: string }> {
  let last: { readonly path: string; readonly kind: string; readonly hash: Hash } | undefined;
  function* whole() {
    if (!last || last.path === '' || ignored.has(last.path)) return;
    yield { path: last.path, what: `${last.kind} ${last.hash.digest('hex')}` };
  }
  for await (const part of readTar(tar)) {
    if (Buffer.isBuffer(part)) {
      last?.hash.update(part);
      continue;
    }
    yield* whole();
    const { name, type, linkName } = part;
    last = { path: pathOf(name), kind: `${type} ${linkName}`, hash: createHash('sha256') };
  }
  yield* whole();
}

const lookingInto = ({ storage, image, labels }: CopyTarget, mounts: readonly Mount[]) => ({
  ...{ name: helperName(storage.source, 'look'), image, labels, mounts },
});
