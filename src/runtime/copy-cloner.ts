import { orUndo, withAftermath } from '../aftermath.ts';
import { AppError } from '../errors.ts';
import { mountOf, requireGoldenVolume } from './golden-volume.ts';
import { copyLabels, helperName } from './labels.ts';
import type { ContainerRuntime } from './runtime.ts';
import { CloneUnavailable, type CloneTarget, type VolumeCloner } from './volume-cloner.ts';

/** What a helper ends with where there is no way. */
const [lacking, notGnu, notShared, noRoom] = [3, 4, 5, 6];

const reasons: Readonly<Record<number, string>> = {
  [lacking]: 'the image has not the programs to copy files with all their names',
  [notGnu]: 'the image has no GNU cp',
  [notShared]: 'the disk of the volumes cannot share blocks of files',
  [noRoom]: 'the disk of the volumes has no room for a copy',
};

/** Root inside, but only over files. */
const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'MKNOD'];

const isGnu = `case "$(cp --version 2>&1)" in *'GNU coreutils'*) true ;; *) false ;; esac`;

/** In the volume, which is new. `fill` clears it. */
const probe = `
tools='cp df du ln mkdir rm tail'
${isGnu} || tools="$tools find stat touch"
for tool in $tools; do command -v "$tool" >/dev/null || exit ${lacking}; done
mkdir /clone/probe
cd /clone/probe
echo probe >file
ln file link
if [ "$REFLINK" = always ]; then
  ${isGnu} || exit ${notGnu}
  cp --reflink=always file shared 2>/dev/null || exit ${notShared}
else
  cp -a . /clone/copy || exit ${lacking}
  [ /clone/copy/file -ef /clone/copy/link ] || exit ${lacking}
  set -- $(du -sk /golden)
  neededKb=$1
  set -- $(df -Pk /clone | tail -n 1)
  [ "$neededKb" -le "$4" ] || exit ${noRoom}
fi`;

/**
 * What is no GNU cp, as that of busybox, gives symlinks the time when they were made. A volume that was not filled is
 * left empty: nobody may take a part for the whole.
 */
const fill = `
clear() {
  cd /clone
  for name in ..?* .[!.]* *; do
    if [ -e "$name" ] || [ -L "$name" ]; then rm -rf -- "./$name"; fi
  done
}
copy() {
  cd /golden
  if ${isGnu}; then
    cp --archive --reflink="$REFLINK" . /clone/
  else
    cp -a . /clone/ &&
      find . -type l -exec sh -euc 'for link; do touch -h -d "@$(stat -c %Y "$link")" "/clone/$link"; done' sh {} +
  fi
}
clear
copy || { clear; exit 1; }`;

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
    await requireGoldenVolume(runtime, target, signal);
    const id = await runtime.createContainer({
      ...{ name: helperName(clone, 'clone'), image, labels: copyLabels(labels), user: '0:0' },
      env: { LC_ALL: 'C', REFLINK: method === 'reflink' ? 'always' : 'never' },
      entrypoint: ['sh', '-euc', script],
      mounts: [mountOf(golden, '/golden', true), mountOf(clone, '/clone', false)],
      confinedTo: capabilities,
    });
    const copy = async (): Promise<void> => {
      await start(runtime, id, image);
      const exitCode = await runtime.waitForExit(id, signal);
      if (exitCode === 0) return;
      const reason = reasons[exitCode];
      if (reason !== undefined) throw new CloneUnavailable(reason);
      throw new AppError('copy-failed', `could not copy the volume ${golden} to ${clone}`, {
        hint: 'Look at what the helper container said, printed with this error',
        details: await runtime.logs(id, 20),
      });
    };
    await withAftermath(undefined, copy, () => runtime.removeContainer(id));
  }

  return {
    method,

    async create(target, signal) {
      await runtime.createVolume(target.clone, target.labels);
      await orUndo(
        () => run(target, probe + fill, signal),
        () => runtime.removeVolume(target.clone),
      );
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
    if (error instanceof AppError && error.code !== 'engine-refused') throw error;
    throw new CloneUnavailable(`the image ${image} has no shell`, { cause: error });
  }
}
