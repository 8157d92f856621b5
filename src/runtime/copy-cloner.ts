import { AppError } from '../errors.ts';
import { requireGolden } from './golden-volume.ts';
import { copyLabels, helperName } from './labels.ts';
import type { ContainerRuntime, Mount } from './runtime.ts';
import { CloneUnavailable, type CloneTarget, type VolumeCloner } from './volume-cloner.ts';

/** What a helper ends with where its image has not what is needed. */
const lacking = 3;
/** And where the file system cannot share blocks. */
const notShared = 4;

/** Root inside, but only over files. */
const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'MKNOD'];

/** Only GNU cp keeps all there is. Whether blocks can be shared is tried with a file of one. */
const probe = `
case "$(cp --version 2>&1)" in *'GNU coreutils'*) ;; *) exit ${lacking} ;; esac
if [ "$REFLINK" = always ]; then
  echo probe >/clone/.snapvol-probe
  cp --reflink=always /clone/.snapvol-probe /clone/.snapvol-probe-2 2>/dev/null || status=${notShared}
  rm -f /clone/.snapvol-probe /clone/.snapvol-probe-2
  [ -z "\${status-}" ] || exit "$status"
fi`;

const fill = `
cd /clone
for name in ..?* .[!.]* *; do
  if [ -e "$name" ] || [ -L "$name" ]; then rm -rf -- "./$name"; fi
done
exec cp --archive --reflink="$REFLINK" /golden/. /clone/`;

/**
 * Copies the volume in a helper container of the database's own image; with `reflink` by sharing blocks, where the disk
 * of the engine's volumes can (XFS, Btrfs).
 */
export function createCopyCloner(
  runtime: ContainerRuntime,
  method: 'reflink' | 'copy',
): VolumeCloner {
  async function run(target: CloneTarget, script: string, signal: AbortSignal): Promise<void> {
    const { golden, clone, image, labels } = target;
    await requireGolden(runtime, target, signal);
    const id = await runtime.createContainer({
      ...{ name: helperName(clone, 'clone'), image, labels: copyLabels(labels), user: '0:0' },
      env: { LC_ALL: 'C', REFLINK: method === 'reflink' ? 'always' : 'never' },
      entrypoint: ['sh', '-euc', script],
      mounts: [mountOf(golden, '/golden', true), mountOf(clone, '/clone', false)],
      confinedTo: capabilities,
    });
    try {
      await start(runtime, id, image);
      const exitCode = await runtime.waitForExit(id, signal);
      if (exitCode === 0) return;
      if (exitCode === lacking) throw new CloneUnavailable(`the image ${image} has no GNU cp`);
      if (exitCode === notShared)
        throw new CloneUnavailable('the disk of the volumes cannot share blocks of files');
      throw new AppError('copy-failed', `could not copy the volume ${golden} to ${clone}`, {
        hint: 'Look at what the helper container said, printed with this error',
        details: await runtime.logs(id, 20),
      });
    } finally {
      await runtime.removeContainer(id);
    }
  }

  return {
    method,

    async create(target, signal) {
      await runtime.createVolume(target.clone, target.labels);
      try {
        await run(target, probe + fill, signal);
      } catch (error) {
        await runtime.removeVolume(target.clone);
        throw error;
      }
    },

    reset: (target, signal) => run(target, fill, signal),
    remove: ({ clone }) => runtime.removeVolume(clone),
  };
}

async function start(runtime: ContainerRuntime, id: string, image: string): Promise<void> {
  try {
    await runtime.startContainer(id);
  } catch (error) {
    // A code of its own (no engine) would meet every way.
    if (error instanceof AppError && error.code !== 'internal') throw error;
    throw new CloneUnavailable(`the image ${image} has no shell`, { cause: error });
  }
}

const mountOf = (source: string, target: string, readOnly: boolean): Mount => ({
  ...{ type: 'volume', source, target, readOnly, noCopy: true },
});
