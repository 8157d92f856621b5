import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { thisProcess } from '../../src/process-identity.ts';
import { makerLabel, purposeLabels, workLabel } from '../../src/runtime/labels.ts';
import { rootCommand } from '../support/as-root.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { docker, removeMadeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { furnish, look, runIn } from '../support/storage.ts';
import { createScratch, type ScratchFolder } from '../support/store-bundles.ts';

// Volumes and folders of the host, saved and restored: all of them equal, or all as they were.

const image = testImage('postgres:17');
/** Without volumes of its own. */
const plain = [testImage('no-tar'), 'never-started'];
const prefix = `volumes-${randomBytes(4).toString('hex')}`;
const label = `snapvol.test.volumes=${prefix}`;
let count = 0;

let scratch: ScratchFolder;
let storeDir: string;
let hostDir: string;

beforeAll(async () => {
  scratch = await createScratch();
  storeDir = await scratch.folder('store');
  hostDir = await scratch.folder('host');
});

afterAll(async () => {
  await removeMadeWith(label);
  const made = await linesOf('volume', 'ls', '--quiet', '--filter', `name=${prefix}`);
  if (made.length > 0) await docker('volume', 'rm', ...made);
  await runIn(hostDir, 'find . -mindepth 1 -delete'); // not all of it is ours
  await scratch.remove();
});

/** Nothing of any restore of these tests, whoever else is at work here. */
afterEach(async () => {
  expect(
    await linesOf('ps', '--all', '--filter', `name=${prefix}`, '--format', '{{.Names}}'),
  ).toEqual([]);
  expect(await runIn(hostDir, "find . -name '.snapvol-*'")).toBe('');
});

async function linesOf(...args: string[]): Promise<string[]> {
  return (await docker(...args)).split('\n').filter((line) => line !== '');
}

const newName = (what = 'v'): string => `${prefix}-${what}-${++count}`;

async function newVolume(...options: string[]): Promise<string> {
  const name = newName();
  await docker('volume', 'create', '--label', label, ...options, name);
  return name;
}

const isThere = async (volume: string): Promise<boolean> =>
  (await linesOf('volume', 'ls', '--quiet', '--filter', `name=^${volume}$`)).length > 0;

async function newFolder(): Promise<string> {
  const folder = join(hostDir, newName('f'));
  await runIn(hostDir, `mkdir ${folder.slice(hostDir.length + 1)}`);
  return folder;
}

/** A created container that is never started; removed by `remove`. */
async function createContainer(
  ...args: string[]
): Promise<{ name: string; remove: () => Promise<string> }> {
  const name = newName('c');
  await docker('create', '--name', name, '--label', label, ...args);
  return { name, remove: () => docker('rm', '--volumes', name) };
}

async function snapvol(...args: string[]) {
  return runCli(args, { env: { SNAPVOL_STORE: `file:${storeDir}`, TMPDIR: scratch.path } });
}

/** With an image that has a shell, where no container tells of one. */
const restoreOf = (key: string): string[] => ['restore', key, '--image', image];

/** stdout and stderr of a command that must succeed. */
async function done(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await snapvol(...args);
  expect(`${exitCode ?? '?'} ${exitCode === 0 ? '' : stderr}`).toBe('0 ');
  return stdout + stderr;
}

/** Saves with an image to copy by; the key. */
async function saved(...args: string[]): Promise<string> {
  const key = newName('key');
  await done('save', '--key', key, ...args, '--image', image, '--compression', 'none');
  return key;
}

/** The message and hint of a command that must fail with this code. */
async function refused(code: ErrorCode, ...args: string[]): Promise<string> {
  return refusal(code, await snapvol(...args, '--json'));
}

function refusal(code: ErrorCode, { exitCode, stdout }: CliResult): string {
  // A cast: the next line looks at it.
  const { error } = JSON.parse(stdout) as {
    error: { code: string; message: string; hint: string };
  };
  expect([exitCode, error]).toMatchObject([exitCodes[code], { code }]);
  return `${error.message}. ${error.hint}`;
}

/**
 * Runs a command where `folder` is another one than the engine has at this path, as in the container of a job: `alike` is
 * an exact copy. Fails if the command has left anything in it.
 */
function besideEngine(
  folder: string,
  kind: 'other' | 'alike',
  env: Readonly<Record<string, string>>,
): readonly [string, string[]] {
  const script = `mount -t tmpfs none /mnt
    if [ "$2" = alike ]; then cp -a "$1/." /mnt; else touch /mnt/other; fi
    mount --move /mnt "$1"
    folder=$1; shift 2
    before=$(find "$folder"); status=0
    "$@" || status=$?
    [ "$before" = "$(find "$folder")" ] || { find "$folder" >&2; exit 99; }
    exit "$status"`;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const inside = ['unshare', '--mount', 'sh', '-euc', script, 'sh', folder, kind];
  return rootCommand('env', ...variables, ...inside);
}

/** Of restores that are not done. */
async function notesOf(folder: string): Promise<string[]> {
  const [[label, value] = []] = Object.entries(purposeLabels('restoring'));
  const notes = await linesOf(
    ...['volume', 'ls', '--filter', `label=${label ?? ''}=${value ?? ''}`],
    ...['--format', `{{.Label "${workLabel}"}}`],
  );
  return notes.filter((note) => note.includes(folder));
}

async function damage(key: string, archive: string): Promise<void> {
  const file = join(storeDir, key, `${archive}.tar`);
  const bytes = await readFile(file);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await chmod(file, 0o644); // the store makes its files read-only
  await writeFile(file, bytes);
}

const slugOf = (folder: string): string => folder.slice(1).replaceAll('/', '-');

describe('a folder of the host', () => {
  test('is restored where it was, and to one that is not there yet', async () => {
    const folder = await newFolder();
    await furnish(folder, 'new');
    const content = await look(folder);
    expect(content).toContain('SCHILY.xattr.user.origin=new');
    const key = await saved('--volumes', folder);

    expect(await refused('invalid-settings', ...restoreOf(key))).toMatch(
      `${folder} of the host. Allow it`,
    );
    expect(await refused('volume-taken', ...restoreOf(key), '--include-binds')).toContain(folder);
    await runIn(folder, 'find . -mindepth 1 -delete; chmod 0755 .; chown 1:1 .');
    await done(...restoreOf(key), '--include-binds');
    expect(await look(folder)).toBe(content);
    await furnish(folder, 'old');
    await done(...restoreOf(key), '--include-binds', '--overwrite');
    expect(await look(folder)).toBe(content);

    const other = join(hostDir, newName('f'), 'with/parents');
    await done(...restoreOf(key), '--rename', `${folder}=${other}`);
    expect(await look(other)).toBe(content);
    const volume = newName();
    await done(...restoreOf(key), '--volume', volume);
    expect(await look(volume)).toBe(content);
  });

  test('is as it was, or not there, when the archive is damaged', async () => {
    const [folder, old] = [await newFolder(), await newFolder()];
    await furnish(folder, 'new');
    await furnish(old, 'old');
    const before = await look(old);
    const key = await saved('--volumes', folder);
    await damage(key, slugOf(folder));
    const parent = join(hostDir, newName('f'));
    const restore = [...restoreOf(key), '--rename'];
    await refused('snapshot-corrupt', ...restore, `${folder}=${parent}/with/parents`);
    expect(existsSync(parent)).toBe(false);
    await refused('snapshot-corrupt', ...restore, `${folder}=${old}`, '--overwrite');
    expect(await look(old)).toBe(before);
  });

  test('that cannot be written to, or is too small, is told', async () => {
    const folder = await newFolder();
    await furnish(folder, 'new');
    await runIn(folder, 'head -c 1000000 /dev/urandom > large');
    const key = await saved('--volumes', folder);
    using readOnly = mountSmallDisk('1m', 'ro');
    using small = mountSmallDisk('100k');
    for (const place of [readOnly.path, `${readOnly.path}/x`, small.path, `${small.path}/x/y`]) {
      const told = await refused(
        'copy-failed',
        ...restoreOf(key),
        '--rename',
        `${folder}=${place}`,
      );
      expect(told).not.toContain('undefined');
      if (place === `${readOnly.path}/x`) expect(told).toContain('EROFS');
    }
    expect(await readdir(small.path)).toEqual([]);
    const file = join(hostDir, newName('f'));
    await writeFile(file, '');
    await refused('invalid-settings', ...restoreOf(key), '--rename', `${folder}=${file}`);
    await refused('copy-failed', ...restoreOf(key), '--rename', `${folder}=${file}/x`);
    await refused('volume-missing', 'save', '--volumes', `${folder}/nowhere`);
    await refused('invalid-settings', 'save', '--volumes', file);
  });

  test('that the engine does not see is refused, however much it is like the one that the engine sees', async () => {
    const folder = await newFolder();
    await furnish(folder, 'new');
    const content = await look(folder);
    const key = await saved('--volumes', folder);
    const unseen = async (kind: 'other' | 'alike', ...args: string[]): Promise<string> => {
      const env = { SNAPVOL_STORE: `file:${storeDir}`, TMPDIR: scratch.path };
      const within = besideEngine(folder, kind, env);
      return refusal('invalid-settings', await runCli([...args, '--json'], { within }));
    };
    const restore = [...restoreOf(key), '--overwrite', '--rename'];
    const refusals = [
      await unseen('other', 'save', '--volumes', folder, '--key', newName('key')),
      await unseen('other', ...restore, `${folder}=${folder}`),
      await unseen('other', ...restore, `${folder}=${folder}/not/there`),
      // As old as the other one, and so is all that is in it: what the restore makes there tells.
      await unseen('alike', ...restore, `${folder}=${folder}`),
    ];
    for (const told of refusals) expect(told).toContain(`does not see the folder ${folder}`);
    expect(await look(folder)).toBe(content);
    expect(await notesOf(folder)).toEqual([]);
    // The engine has no such folder, and what was made of it here goes again.
    const within = besideEngine(folder, 'alike', { SNAPVOL_STORE: `file:${storeDir}` });
    const made = [...restore, `${folder}=${folder}/not/there`, '--json'];
    expect(refusal('volume-missing', await runCli(made, { within }))).toContain(folder);
    expect(await look(folder)).toBe(content);
    expect(await notesOf(folder)).toEqual([]);
  });

  test('inside another one that is saved is saved once', async () => {
    const folder = await newFolder();
    await furnish(folder, 'new');
    const container = await createContainer(
      ...['--volume', `${folder}:/data`, '--volume', `${folder}/sub:/data/inner:ro`, ...plain],
    );
    const key = newName('key');
    expect(
      await done('save', '--key', key, '--container', container.name, '--include-binds'),
    ).toContain(`left out: ${folder}/sub`);
    await container.remove();
    const other = newName();
    await done(...restoreOf(key), '--rename', `${folder}=${other}`);
    expect(await runIn(other, 'cat sub/deep/file')).toBe('new\n');
  });

  test('is told from files and sockets that a container has mounted', async () => {
    const folder = await newFolder();
    await furnish(folder, 'new');
    const file = join(hostDir, newName('f'));
    await writeFile(file, 'x');
    const socket = join(hostDir, newName('s'));
    const server = createServer().listen(socket);
    const container = await createContainer(
      ...['--volume', `${folder}:/data`, '--volume', `${file}:/file`],
      ...['--volume', `${socket}:/socket`, ...plain],
    );
    const key = newName('key');
    const log = await done('save', '--key', key, '--container', container.name, '--include-binds');
    server.close();
    expect(log).toMatch(new RegExp(`left out: ${file}, .* it is no folder`));
    expect(log).toMatch(new RegExp(`left out: ${socket}, .* it is no folder`));
    expect(await refused('invalid-settings', 'save', '--container', container.name)).toContain(
      'include-binds',
    );
    await container.remove();
    expect(await refused('invalid-settings', ...restoreOf(key))).toContain('include-binds');
    expect(await done(...restoreOf(key), '--volume', newName())).toContain(slugOf(folder));
  });
});

describe('volumes', () => {
  test('are made with their labels and options; what these stand for is not overwritten', async () => {
    const folder = await newFolder();
    await furnish(folder, 'new');
    const options = ['--opt', 'type=none', '--opt', 'o=bind', '--opt', `device=${folder}`];
    const bound = await newVolume(...options, '--label', 'team=blue');
    const memory = await newVolume(
      '--opt',
      'type=tmpfs',
      '--opt',
      'device=tmpfs',
      '--opt',
      'o=size=1m',
    );
    const made = '{{json .Options}} {{index .Labels "team"}}';
    const before = await docker('volume', 'inspect', '--format', made, bound, memory);
    const key = await saved('--volumes', bound, '--volumes', memory);
    await docker('volume', 'rm', bound, memory);

    expect(await refused('invalid-settings', ...restoreOf(key))).toContain(`${folder} of the host`);
    expect(await refused('volume-taken', ...restoreOf(key), '--include-binds')).toContain(
      'is not empty',
    );
    expect([await isThere(bound), await isThere(memory)]).toEqual([false, false]);
    const content = await look(folder);
    await runIn(folder, 'find . -mindepth 1 -delete');
    await done(...restoreOf(key), '--include-binds');
    expect(await docker('volume', 'inspect', '--format', made, bound, memory)).toBe(before);
    expect(await look(folder)).toBe(content);
    await docker('volume', 'rm', bound, memory);
  });

  test('of a container: anonymous, nested, read-only, and those of another one', async () => {
    const [data, inner, config] = [await newVolume(), await newVolume(), await newVolume()];
    for (const volume of [data, inner, config]) await furnish(volume, 'new');
    const owner = await createContainer(
      ...['--volume', `${data}:/data`, '--volume', `${inner}:/data/inner`],
      ...['--volume', '/some where', ...plain],
    );
    const container = await createContainer(
      ...['--volumes-from', owner.name, '--volume', `${config}:/etc/config:ro`, ...plain],
    );
    const key = await saved('--container', container.name);
    await container.remove();
    await owner.remove();
    const anonymous = `${container.name}-some-where`;
    const renames = [data, inner, config].flatMap((name) => ['--rename', `${name}=${name}-x`]);
    const report = await done(...restoreOf(key), ...renames);
    expect(report).toMatch(new RegExp(`^${anonymous} .*/some where$`, 'm'));
    expect(await isThere(anonymous)).toBe(true);
    for (const volume of [data, inner, config]) {
      expect(await look(`${volume}-x`)).toBe(await look(volume));
    }
  });

  test('that nobody uses need no image, saved and restored', async () => {
    const volume = await newVolume();
    await furnish(volume, 'new');
    const [key, other] = [newName('key'), newName()];
    await done('save', '--key', key, '--volumes', volume);
    await done('restore', key, '--volume', other);
    // Not kept by the archive API.
    const content = (await look(volume)).replace(/^SCHILY.*\n/m, '');
    expect(await look(other)).toBe(content);
    // A shell is needed where something is there already.
    const empty = await newVolume();
    expect(await refused('copy-failed', 'restore', key, '--volume', empty)).toMatch(
      /no shell.*"image"/,
    );
    expect(await look(empty)).toMatch(/^\. d .*\n$/);
    expect(await done(...restoreOf(key), '--volume', empty)).toContain(empty);
    expect(await look(empty)).toBe(content);
  });

  test('that hold nothing of their own are filled, others only when they may be', async () => {
    const volume = await newVolume();
    await furnish(volume, 'new');
    const content = await look(volume);
    const owner = await createContainer('--volume', `${volume}:/etc`, image);
    const key = await saved('--volumes', volume);
    await owner.remove();
    const fresh = await newVolume();
    const container = await createContainer('--volume', `${fresh}:/etc`, image);
    expect(await runIn(fresh, 'ls passwd')).toBe('passwd\n');
    await done(...restoreOf(key), '--volume', fresh);
    expect(await look(fresh)).toBe(content);
    await container.remove();

    await furnish(fresh, 'old');
    const before = await look(fresh);
    expect(await refused('volume-taken', ...restoreOf(key), '--volume', fresh)).toContain(
      '"overwrite"',
    );
    expect(await look(fresh)).toBe(before);
    await done(...restoreOf(key), '--volume', fresh, '--overwrite');
    expect(await look(fresh)).toBe(content);
    const user = await docker(
      'run',
      '--detach',
      '--label',
      label,
      '--volume',
      `${fresh}:/x`,
      image,
      'sleep',
      '99',
    );
    const inUse = await refused(
      'volume-taken',
      ...restoreOf(key),
      '--volume',
      fresh,
      '--overwrite',
    );
    expect(inUse).toContain('in use');
    await docker('rm', '--force', '--volumes', user);
  });

  test('are filled by one restore at a time', async () => {
    const [volume, note] = [await newVolume(), newName()];
    await furnish(volume, 'new');
    const key = await saved('--volumes', volume);
    const before = await look(volume);
    const storage = { type: 'volume', source: volume };
    const labels = {
      ...purposeLabels('restoring'),
      [makerLabel]: thisProcess(),
      [workLabel]: JSON.stringify({ task: note, staged: [{ target: { storage } }] }),
    };
    const args = Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
    await docker('volume', 'create', ...args, note);
    const told = await refused('volume-taken', ...restoreOf(key), '--overwrite');
    expect(told).toContain(`${volume} is being restored by another process`);
    await docker('volume', 'rm', note);
    expect(await look(volume)).toBe(before);
  });

  test('are all as they were when one archive of several is damaged', async () => {
    const [a, b, c] = [await newVolume(), await newVolume(), await newVolume()];
    for (const volume of [a, b, c]) await furnish(volume, 'new');
    const key = await saved(...[a, b, c].flatMap((volume) => ['--volumes', volume]));
    await docker('volume', 'rm', a);
    for (const volume of [b, c]) await furnish(volume, 'old');
    const before = [await look(b), await look(c)];
    await damage(key, c);
    await refused('snapshot-corrupt', ...restoreOf(key), '--overwrite');
    expect([await look(b), await look(c)]).toEqual(before);
    expect(await isThere(a)).toBe(false);
  });
});
