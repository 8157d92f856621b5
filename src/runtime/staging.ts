import { withAftermath } from '../aftermath.ts';
import { AppError } from '../errors.ts';
import { copyLabels } from './labels.ts';
import type { ContainerRuntime } from './runtime.ts';
import type { CopyTarget } from './volume-copier.ts';

// A volume whose content is to be replaced is filled beside it, in a hidden folder of its own, so that the old content
// stays until the new one is whole. Both change places by renaming: quick, and after a kill it can be gone on with.

/** Where in the volume the new content is put. */
export function stagedFolder(task: string): string {
  return `${hidden(task)}/new`;
}

/** Names of one task: what another one has left is not touched. */
function hidden(task: string): string {
  return `.snapvol-${task.slice(0, 8)}`;
}

const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID'];

/** Makes the folder that {@link stagedFolder} names. */
export async function prepareStaging(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
): Promise<void> {
  await withHelper(runtime, target, task, 'stage', prepare, (helper) => helper.run());
}

/** Throws the new content away. Does nothing when there is none. */
export function discardStaging(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
): Promise<void> {
  return runIfStaged(runtime, target, task, 'discard', discard);
}

/**
 * Puts the new content into the place of the old one, which is removed. May be called again after it broke off: each
 * step is marked when it is done. Does nothing when all is done.
 */
export function finishStaging(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
): Promise<void> {
  return runIfStaged(runtime, target, task, 'replace', finish);
}

/** Times are kept in files: with their fractions, and without a word on how to write them. */
const prepare = `
touch -r . /dev/shm/was
mkdir -p "$STAGING/new"
[ -e "$STAGING/was" ] || touch -r /dev/shm/was "$STAGING/was"`;

const discard = `
touch -r . /dev/shm/was
if [ -e "$STAGING/was" ]; then touch -r "$STAGING/was" /dev/shm/was; fi
rm -rf -- "$STAGING"
touch -r /dev/shm/was .`;

/**
 * Owner, mode and time of the volume's root folder come from the new one, as the other contents do. That one goes when
 * all of it is in place: without it only the old content is left to be removed, which takes longest.
 */
const finish = `
each() { for name in ..?* .[!.]* *; do if [ -e "$name" ] || [ -L "$name" ]; then "$@" "$name"; fi; done; }
away() { [ "$1" = "$STAGING" ] || mv -- "./$1" "$STAGING/old/"; }
back() { mv -- "./$1" "$volume/"; }
volume=$PWD
if [ -d "$STAGING/new" ]; then
  mkdir -p "$STAGING/old"
  if [ ! -e "$STAGING/emptied" ]; then
    touch -r "$STAGING/new" "$STAGING/time"
    each away
    : >"$STAGING/emptied"
  fi
  ( cd "$STAGING/new" && each back )
  chown "$(stat -c %u:%g "$STAGING/new")" .
  chmod "$(stat -c %a "$STAGING/new")" .
  rmdir "$STAGING/new"
fi
rm -rf -- "$STAGING/old"
if [ -e "$STAGING/time" ]; then touch -r "$STAGING/time" /dev/shm/time; else touch -r . /dev/shm/time; fi
rm -rf -- "$STAGING"
touch -r /dev/shm/time .`;

/** Without anything staged no shell is needed, which the image may not have. */
async function runIfStaged(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
  what: string,
  script: string,
): Promise<void> {
  // The engine would make a volume that is gone again.
  const { type, source } = target.storage;
  if (type === 'volume' && !(await runtime.findVolume(source))) return;
  try {
    await withHelper(runtime, target, task, what, script, async (helper) => {
      if (await runtime.stat(helper.id, `/volume/${hidden(task)}`)) await helper.run();
    });
  } catch (error) {
    // A folder that the engine has not holds nothing of ours.
    if (!(error instanceof AppError) || error.code !== 'volume-missing') throw error;
  }
}

interface Helper {
  readonly id: string;
  /** Runs the script. @throws `copy-failed` */
  run(): Promise<void>;
}

async function withHelper(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
  what: string,
  script: string,
  work: (helper: Helper) => Promise<void>,
): Promise<void> {
  const { source } = target.storage;
  const id = await runtime.createContainer({
    // One at a time: after a kill, several processes may go on with the same task.
    name: `snapvol-staging-${task}`,
    image: target.image,
    labels: copyLabels(target.labels),
    env: { LC_ALL: 'C', STAGING: hidden(task) },
    entrypoint: ['sh', '-euc', `cd /volume\n${script}`],
    user: '0:0',
    mounts: [{ ...target.storage, target: '/volume', noCopy: true }],
    confinedTo: capabilities,
  });
  const run = async (): Promise<void> => {
    await start(runtime, id, target);
    const exitCode = await runtime.waitForExit(id);
    if (exitCode === 0) return;
    throw new AppError('copy-failed', `could not ${what} the content of ${source}`, {
      hint: 'Look at what the helper container said, printed with this error',
      details: await runtime.logs(id, 20),
    });
  };
  await withAftermath(
    undefined,
    () => work({ id, run }),
    () => runtime.removeContainer(id),
  );
}

async function start(
  runtime: ContainerRuntime,
  id: string,
  { image, storage }: CopyTarget,
): Promise<void> {
  try {
    await runtime.startContainer(id);
  } catch (error) {
    // A code of its own (no engine) has another reason.
    if (error instanceof AppError && error.code !== 'engine-refused') throw error;
    throw new AppError(
      'copy-failed',
      `${storage.source} is filled beside what is there, and the image ${image} has no shell for that`,
      { cause: error, hint: 'Set "image" to one with "sh", such as busybox or debian' },
    );
  }
}
