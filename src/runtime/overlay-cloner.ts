import { CleanUp, orUndo } from '../aftermath.ts';
import { AppError, messageOf } from '../errors.ts';
import { mountOf, requireGoldenVolume } from './golden-volume.ts';
import { withIdleContainer } from './idle-container.ts';
import { copyLabels, goldenRootLabel, helperName, withPurpose } from './labels.ts';
import type { ContainerRuntime, Mount, VolumeDriver } from './runtime.ts';
import { packTar, readTar } from './small-tar.ts';
import { ownersOf } from './tar-head.ts';
import { readNumber, type HeaderFields } from './tar-header.ts';
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
    const cleanUp = new CleanUp();
    for (const name of [clone, layerOf(clone)])
      await cleanUp.attempt(`the volume ${name}`, () => runtime.removeVolume(name));
    cleanUp.end();
  }

  return {
    method: 'overlay',
    remove,

    async create(target, signal) {
      const { clone, labels } = target;
      await requireGoldenVolume(runtime, target, signal);
      const layer = layerOf(clone);
      await runtime.createVolume(layer, withPurpose(labels, 'layer'));
      const make = async (): Promise<void> => {
        const driver = await driverOf(runtime, target, signal);
        const root = await prepareLayer(runtime, target, signal);
        const known = { ...labels, [goldenRootLabel]: rootText(root) };
        await runtime.createVolume(clone, known, undefined, driver);
      };
      await orUndo(make, () => runtime.removeVolume(layer));
      // Its engine has mounted an earlier clone of this volume. Should it not any more, it will start no container with it.
      if (knownRoot(target)) return;
      await orUndo(
        () => requireMounted(runtime, target, signal),
        () => remove(target),
      );
    },

    async reset(target, signal) {
      await requireGoldenVolume(runtime, target, signal);
      // An empty volume made anew is quicker than to empty this one, and needs no program of the image.
      const layer = layerOf(target.clone);
      await runtime.removeVolume(layer);
      await runtime.createVolume(layer, withPurpose(target.labels, 'layer'));
      await prepareLayer(runtime, target, signal);
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

/** What the merged root takes from the upper folder: it must be as in the golden volume. */
type Root = Required<Pick<HeaderFields, 'uid' | 'gid' | 'mode' | 'time'>>;

async function prepareLayer(
  runtime: ContainerRuntime,
  target: CloneTarget,
  signal: AbortSignal,
): Promise<Root> {
  const known = knownRoot(target);
  const mounts = [mountOf(layerOf(target.clone), '/layer', false)];
  if (!known) mounts.push(mountOf(target.golden, '/golden', true));
  return withIdleContainer(runtime, lookingInto(target, mounts), async (id) => {
    const root = known ?? (await rootOf(runtime, id, target.golden, signal));
    const layers = packTar([
      { name: `${upper}/`, type: '5', ...root },
      { name: `${work}/`, type: '5', mode: 0o700 },
    ]);
    await runtime.putArchive(id, '/layer', layers, signal);
    return root;
  });
}

async function rootOf(
  runtime: ContainerRuntime,
  id: string,
  golden: string,
  signal: AbortSignal,
): Promise<Root> {
  const tar = await runtime.getArchive(id, '/golden/.', signal);
  for await (const part of tar ? readTar(tar) : []) {
    if (Buffer.isBuffer(part)) continue;
    const { header } = part;
    const mode = readNumber(header, 100, 8) & 0o7777;
    return { ...ownersOf(part), mode, time: readNumber(header, 136) };
  }
  throw new AppError('copy-failed', `could not read the folder of the volume ${golden}`);
}

/** As an earlier clone has kept it: to read a folder costs the engine a process, and a golden volume does not change. */
function knownRoot({ labels }: CloneTarget): Root | undefined {
  const found = /^(\d+):(\d+):(\d+):(\d+)$/.exec(labels[goldenRootLabel] ?? '');
  if (!found) return undefined;
  const [uid = 0, gid = 0, mode = 0, time = 0] = found.slice(1).map(Number);
  return { uid, gid, mode, time };
}

const rootText = ({ uid, gid, mode, time }: Root): string => [uid, gid, mode, time].join(':');

/**
 * Has the clone mounted, and believes only what the kernel leaves in the work folder: an engine that cannot mount it may
 * show the folder below. Docker mounts a volume when it is looked into, and does not say why it cannot; Podman when a
 * container is started.
 */
async function requireMounted(
  runtime: ContainerRuntime,
  target: CloneTarget,
  signal: AbortSignal,
): Promise<void> {
  const { clone } = target;
  const mounts = [mountOf(clone, '/clone', false), mountOf(layerOf(clone), '/layer', true)];
  await withIdleContainer(runtime, lookingInto(target, mounts), async (id) => {
    const isMounted = async (): Promise<boolean> => {
      const look = async (): Promise<void> => {
        const found = await runtime.stat(id, `/layer/${work}/work`, signal);
        if (found?.type !== 'folder') throw new Error('there is no such folder');
      };
      return (await refusalOf(look, signal)) === undefined;
    };
    if (await isMounted()) return;
    // It has no program to run: it fails in any case, with its volumes mounted or not.
    const reason = await refusalOf(() => runtime.startContainer(id, signal), signal);
    if (await isMounted()) return;
    throw new CloneUnavailable(
      `the engine cannot mount an overlay (${reason ?? 'it does not say why'})`,
    );
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
    if (error instanceof AppError && error.code !== 'engine-refused') throw error;
    return messageOf(error);
  }
}

const lookingInto = ({ clone, image, labels }: CloneTarget, mounts: readonly Mount[]) => ({
  ...{ name: helperName(clone, 'layer'), image, labels: copyLabels(labels), mounts },
});
