import { Readable } from 'node:stream';

import { pack } from 'tar-stream';

import { AppError, messageOf } from '../errors.ts';
import { mountOf, requireGoldenVolume } from './golden-volume.ts';
import { withIdleContainer } from './idle-container.ts';
import { copyLabels, helperName, withPurpose } from './labels.ts';
import type { ContainerRuntime, Mount, VolumeDriver } from './runtime.ts';
import { listEntries, type TarEntry } from './small-tar.ts';
import { CloneUnavailable, type CloneTarget, type VolumeCloner } from './volume-cloner.ts';

/** The volume with what was written to a clone. It is no mount of any container, so that it can be thrown away. */
export function layerOf(clone: string): string {
  return `${clone}-layer`;
}

/**
 * The kernel's overlay file system, mounted by the engine's local volume driver, so that nobody needs to be root here:
 * the golden volume is the lower layer, which is only read; what is written, whole files at a time, goes to a volume
 * of ours. https://docs.kernel.org/filesystems/overlayfs.html
 */
export function createOverlayCloner(runtime: ContainerRuntime): VolumeCloner {
  async function remove({ clone }: Pick<CloneTarget, 'clone'>): Promise<void> {
    await runtime.removeVolume(clone);
    await runtime.removeVolume(layerOf(clone));
  }

  /** An empty layer. Its volume is made anew: that is quicker than to empty it, and needs no program of the image. */
  async function renewLayer(target: CloneTarget, signal: AbortSignal): Promise<void> {
    const layer = layerOf(target.clone);
    await runtime.removeVolume(layer);
    await runtime.createVolume(layer, withPurpose(target.labels, 'layer'));
    await prepareLayer(runtime, target, signal);
  }

  return {
    method: 'overlay',
    remove,

    async create(target, signal) {
      const { clone, labels } = target;
      await requireGoldenVolume(runtime, target, signal);
      const layer = layerOf(clone);
      await runtime.createVolume(layer, withPurpose(labels, 'layer'));
      try {
        const driver = await driverOf(runtime, target, signal);
        await prepareLayer(runtime, target, signal);
        await runtime.createVolume(clone, labels, undefined, driver);
      } catch (error) {
        await runtime.removeVolume(layer);
        throw error;
      }
      try {
        await requireMounted(runtime, target, signal);
      } catch (error) {
        await remove(target);
        throw error;
      }
    },

    async reset(target, signal) {
      await requireGoldenVolume(runtime, target, signal);
      await renewLayer(target, signal);
    },
  };
}

const upper = 'upper';
const work = 'work';

/**
 * Folders that are renamed, as some databases do with theirs, would else be refused ("redirect_dir" in the kernel's
 * description).
 */
async function driverOf(
  runtime: ContainerRuntime,
  { golden, clone }: CloneTarget,
  signal: AbortSignal,
): Promise<VolumeDriver> {
  const [lower, layer] = await Promise.all(
    [golden, layerOf(clone)].map(async (name) => {
      const mountpoint = (await runtime.findVolume(name, signal))?.mountpoint;
      // They are separators in what follows, and spaces are not passed on.
      if (!mountpoint?.startsWith('/') || /[,:\\\s]/.test(mountpoint))
        throw new CloneUnavailable(`an overlay cannot be made of the folder "${mountpoint ?? ''}"`);
      return mountpoint;
    }),
  );
  const layers = `lowerdir=${lower},upperdir=${layer}/${upper},workdir=${layer}/${work}`;
  const options = { type: 'overlay', device: 'overlay', o: `${layers},redirect_dir=on` };
  return { driver: 'local', options };
}

/** The merged root takes owner, mode and time from the upper folder: they must be those of the golden volume. */
async function prepareLayer(
  runtime: ContainerRuntime,
  target: CloneTarget,
  signal: AbortSignal,
): Promise<void> {
  const mounts: readonly Mount[] = [
    mountOf(target.golden, '/golden', true),
    mountOf(layerOf(target.clone), '/layer', false),
  ];
  await withIdleContainer(runtime, lookingInto(target, mounts), async (id) => {
    const { owner, group, mode, mtime } = await rootOf(runtime, id, target.golden, signal);
    const tar = pack();
    const type = 'directory';
    tar.entry({ name: `${upper}/`, type, uid: owner, gid: group, mode, mtime });
    tar.entry({ name: `${work}/`, type, mode: 0o700 });
    tar.finalize();
    await runtime.putArchive(id, '/layer', Readable.from(tar), signal);
  });
}

async function rootOf(
  runtime: ContainerRuntime,
  id: string,
  golden: string,
  signal: AbortSignal,
): Promise<TarEntry> {
  const tar = await runtime.getArchive(id, '/golden/.', signal);
  if (tar) for await (const entry of listEntries(tar)) return entry;
  throw new AppError('copy-failed', `could not read the folder of the volume ${golden}`);
}

/**
 * Has the clone mounted, and believes only what the kernel leaves in the work folder: an engine that cannot mount it may
 * show the folder below. Docker mounts a volume when it is looked into, Podman when a container is started.
 */
async function requireMounted(
  runtime: ContainerRuntime,
  target: CloneTarget,
  signal: AbortSignal,
): Promise<void> {
  const { clone } = target;
  const mounts = [mountOf(clone, '/clone', false), mountOf(layerOf(clone), '/layer', true)];
  await withIdleContainer(runtime, lookingInto(target, mounts), async (id) => {
    const isMounted = async (): Promise<boolean> =>
      (await runtime.typeOf(id, `/layer/${work}/work`, signal)) === 'folder';
    // Docker refuses to look into a container that has a volume it cannot mount.
    const refused = await refusalOf(async () => {
      if (await isMounted()) return;
      // It has no program to run: it fails in any case, with its volumes mounted or not.
      const reason = await refusalOf(() => runtime.startContainer(id, signal), signal);
      if (!(await isMounted())) throw new Error(reason ?? 'it shows the empty folder below');
    }, signal);
    if (refused !== undefined) {
      throw new CloneUnavailable(`the engine cannot mount an overlay (${refused})`);
    }
  });
}

/** Why the engine does not do it. An error with a code of its own (no engine) would meet every way to clone. */
async function refusalOf(
  work: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AppError && error.code !== 'internal') throw error;
    return messageOf(error);
  }
}

const lookingInto = ({ clone, image, labels }: CloneTarget, mounts: readonly Mount[]) => ({
  ...{ name: helperName(clone, 'layer'), image, labels: copyLabels(labels), mounts },
});
