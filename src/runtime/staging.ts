import { AppError } from '../errors.ts';
import { helperName } from './labels.ts';
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
export function prepareStaging(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
): Promise<void> {
  return run(runtime, target, task, 'stage', 'mkdir -p "$STAGING/new"');
}

/** Throws the new content away. Does nothing when there is none. */
export function discardStaging(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
): Promise<void> {
  return run(runtime, target, task, 'discard', 'rm -rf -- "$STAGING"');
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
  return run(runtime, target, task, 'replace', finish);
}

/** Owner, mode and time of the volume's root folder come from the new one, as the other contents do. */
const finish = `
[ -d "$STAGING" ] || exit 0
each() { for name in ..?* .[!.]* *; do if [ -e "$name" ] || [ -L "$name" ]; then "$@" "$name"; fi; done; }
away() { [ "$1" = "$STAGING" ] || mv -- "./$1" "$STAGING/old/"; }
back() { mv -- "./$1" "$volume/"; }
volume=$PWD
mkdir -p "$STAGING/old"
[ -e "$STAGING/time" ] || stat -c %Y "$STAGING/new" >"$STAGING/time"
if [ ! -e "$STAGING/emptied" ]; then each away; : >"$STAGING/emptied"; fi
( cd "$STAGING/new" && each back )
chown "$(stat -c %u:%g "$STAGING/new")" .
chmod "$(stat -c %a "$STAGING/new")" .
seconds=$(cat "$STAGING/time")
rm -rf -- "$STAGING"
touch -d "@$seconds" .`;

async function run(
  runtime: ContainerRuntime,
  target: CopyTarget,
  task: string,
  what: string,
  script: string,
): Promise<void> {
  const { source } = target.storage;
  const id = await runtime.createContainer({
    name: helperName(source, what),
    image: target.image,
    labels: target.labels,
    env: { LC_ALL: 'C', STAGING: hidden(task) },
    entrypoint: ['sh', '-euc', `cd /volume\n${script}`],
    user: '0:0',
    mounts: [{ ...target.storage, target: '/volume', noCopy: true }],
    confinedTo: capabilities,
  });
  try {
    await start(runtime, id, target);
    const exitCode = await runtime.waitForExit(id);
    if (exitCode === 0) return;
    throw new AppError('copy-failed', `could not ${what} the content of ${source}`, {
      hint: 'Look at what the helper container said, printed with this error',
      details: await runtime.logs(id, 20),
    });
  } finally {
    await runtime.removeContainer(id);
  }
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
    if (error instanceof AppError && error.code !== 'internal') throw error;
    throw new AppError(
      'copy-failed',
      `${storage.source} is there already, and the image ${image} has no shell to fill it with`,
      { cause: error, hint: 'Set "image" to one with "sh", such as busybox or debian' },
    );
  }
}
