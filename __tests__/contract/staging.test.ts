import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { isFresh } from '../../src/runtime/fresh.ts';
import {
  discardStaging,
  finishStaging,
  prepareStaging,
  stagedFolder,
} from '../../src/runtime/staging.ts';
import type { CopyTarget } from '../../src/runtime/volume-copier.ts';
import { connectEngine } from '../support/connect-engine.ts';
import { docker, madeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { VolumeBench } from '../support/volume-bench.ts';
import { nameWithNewline, oneOfEverything, readTree, type Tree } from '../support/volume-tree.ts';

const runtime = connectEngine();
const { signal } = new AbortController();
const gnu = testImage('postgres:17');
const busybox = testImage('postgres:17-alpine');
const noShell = testImage('no-tar');

let bench: VolumeBench;
/** Of {@link newContent} in a volume of its own. */
let wanted: unknown;

beforeAll(async () => {
  bench = await VolumeBench.start();
  const volume = await bench.volume();
  await bench.run(volume, newContent);
  wanted = comparable(await readTree(bench, volume));
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

afterEach(async () => {
  expect((await madeWith(bench.label)).containers).toEqual([bench.prefix]);
});

const newContent = `${oneOfEverything}\n${nameWithNewline}`;
/** Some names are in both. */
const oldContent = `
umask 077
mkdir -p in/deep mode-0700 .hidden ..two old-folder; echo old > in/deep/file; echo old > small; echo old > .hidden/x
echo old > hard-1; echo old > ...; echo old > -rf; echo old > $'line\\nbreak'; ln -s nowhere dangling; mkfifo pipe
mkdir lost+found; chmod 0555 old-folder
chown 1:2 .; chmod 0711 .; touch --date '2003-04-05 06:07:08.123456789Z' .`;

/** A volume with content, and one restore of it. */
async function staged(image: string, content: string) {
  const volume = await bench.volume();
  await bench.run(volume, content);
  const target: CopyTarget = {
    ...{ storage: { type: 'volume', source: volume }, image, labels: bench.labels },
  };
  const task = randomUUID();
  const folder = stagedFolder(task);
  return {
    volume,
    target,
    task,
    hidden: folder.replace(/\/new$/, ''),
    prepare: () => prepareStaging(runtime, target, task),
    fill: (content: string) => bench.run(volume, `cd ${folder}\n${content}`),
    finish: () => finishStaging(runtime, target, task),
    discard: () => discardStaging(runtime, target, task),
    tree: () => readTree(bench, volume),
  };
}

/** Without what is another number each time that the content is made. */
function comparable(tree: Tree): unknown {
  return Object.fromEntries(
    Object.entries(tree).map(([name, entry]) => [
      name,
      { ...entry, sha256: '', time: name === '.' ? entry.time : '' },
    ]),
  );
}

describe.each([
  ['GNU tools', gnu],
  ['busybox', busybox],
])('with %s', (_name, image) => {
  test.each([
    ['many things', oldContent],
    ['nothing', ''],
  ])(
    'new content takes the place of %s, with owner, mode and time of its root',
    async (_what, old) => {
      const restoring = await staged(image, old);
      await restoring.prepare();
      await restoring.fill(newContent);
      await restoring.finish();
      const tree = await restoring.tree();
      expect(comparable(tree)).toEqual(wanted);
      await restoring.finish();
      await restoring.discard();
      expect(await restoring.tree()).toEqual(tree);
    },
  );

  test('old content stays as it was when the new one is thrown away', async () => {
    const restoring = await staged(image, oldContent);
    const before = await restoring.tree();
    await restoring.prepare();
    await restoring.fill(newContent);
    await restoring.prepare();
    await restoring.discard();
    expect(await restoring.tree()).toEqual(before);
    await restoring.discard();
    await restoring.finish();
    expect(await restoring.tree()).toEqual(before);
  });

  test('nothing takes the place of many things', async () => {
    const restoring = await staged(image, oldContent);
    await restoring.prepare();
    await restoring.finish();
    expect(Object.keys(await restoring.tree())).toEqual(['.']);
  });

  // What a kill leaves at each step, made by hand in the hidden folder. Then it is gone on with.
  test.each([
    ['its first folder was made', 'mkdir old'],
    ['the time was noted', 'mkdir old; touch -r new time'],
    [
      'some of the old content was put away',
      'mkdir old; touch -r new time; mv ../in ../.hidden ../-rf old/',
    ],
    [
      'all of it was',
      `mkdir old; touch -r new time; find .. -mindepth 1 -maxdepth 1 ! -name '.snapvol-*' -exec mv {} old/ \\;`,
    ],
    [
      'that was marked',
      `mkdir old; touch -r new time; find .. -mindepth 1 -maxdepth 1 ! -name '.snapvol-*' -exec mv {} old/ \\;
       : > emptied`,
    ],
    [
      'some of the new content was in its place',
      `mkdir old; touch -r new time; find .. -mindepth 1 -maxdepth 1 ! -name '.snapvol-*' -exec mv {} old/ \\;
       : > emptied; mv new/owner-small new/in new/$'line\\nbreak' new/... ..`,
    ],
    [
      'all of it was in its place',
      `mkdir old; touch -r new time; find .. -mindepth 1 -maxdepth 1 ! -name '.snapvol-*' -exec mv {} old/ \\;
       : > emptied; find new -mindepth 1 -maxdepth 1 -exec mv {} .. \\;`,
    ],
    [
      'the old content was being removed',
      `mkdir old; touch -r new time; find .. -mindepth 1 -maxdepth 1 ! -name '.snapvol-*' -exec mv {} old/ \\;
       : > emptied; find new -mindepth 1 -maxdepth 1 -exec mv {} .. \\;
       chown --reference new ..; chmod --reference new ..; rmdir new; rm -r old/in`,
    ],
    [
      'all old content was removed',
      `mkdir old; touch -r new time; find .. -mindepth 1 -maxdepth 1 ! -name '.snapvol-*' -exec mv {} old/ \\;
       find new -mindepth 1 -maxdepth 1 -exec mv {} .. \\;
       chown --reference new ..; chmod --reference new ..; rm -r new old`,
    ],
  ])('it is gone on with after %s', async (_step, script) => {
    const restoring = await staged(image, oldContent);
    await restoring.prepare();
    await restoring.fill(newContent);
    await bench.run(restoring.volume, `cd ${restoring.hidden}\n${script}`);
    await restoring.finish();
    expect(comparable(await restoring.tree())).toEqual(wanted);
  });

  test('what cannot be put in its place is told, and nothing is removed', async () => {
    const restoring = await staged(image, 'echo old > a');
    await restoring.prepare();
    await restoring.fill('mkdir -p a/b; echo new > a/b/c');
    // Somebody puts something in the way, when the old content is away.
    const inTheWay = `mkdir ${restoring.hidden}/old; mv a ${restoring.hidden}/old/; : > ${restoring.hidden}/emptied
      mkdir -p a/b/c`;
    await bench.run(restoring.volume, inTheWay);
    await expect(restoring.finish()).rejects.toMatchObject({
      code: 'copy-failed',
      details: [expect.stringContaining('a')],
    });
    const tree = Object.keys(await restoring.tree());
    expect(tree).toContain(`./${restoring.hidden}/new/a/b/c`);
    expect(tree).toContain(`./${restoring.hidden}/old/a`);
  });
});

test('an image without a shell changes nothing', async () => {
  const restoring = await staged(noShell, oldContent);
  const before = await restoring.tree();
  await expect(restoring.prepare()).rejects.toMatchObject({
    code: 'copy-failed',
    message: expect.stringContaining('has no shell'),
    hint: expect.stringContaining('"image"'),
  });
  await restoring.discard();
  expect(await restoring.tree()).toEqual(before);
});

test('a volume that is gone is not made again', async () => {
  const restoring = await staged(gnu, '');
  await docker('volume', 'rm', restoring.volume);
  await restoring.discard();
  await restoring.finish();
  expect(await runtime.findVolume(restoring.volume)).toBeUndefined();
});

test('only one process at a time is at one restore', async () => {
  const restoring = await staged(gnu, '');
  await restoring.prepare();
  const both = await Promise.allSettled([restoring.finish(), restoring.finish()]);
  const failures = both.filter((each) => each.status === 'rejected');
  for (const { reason } of failures) expect(reason).toMatchObject({ code: 'name-taken' });
  expect(failures.length).toBeLessThan(2);
});

describe('a volume is fresh', () => {
  const at = '/etc';

  async function ask(volume: string, mountPath: string | null, image = gnu): Promise<boolean> {
    const storage = { type: 'volume', source: volume } as const;
    return isFresh(runtime, { storage, image, labels: bench.labels }, mountPath, signal);
  }

  /** A volume with what the image has there, as the engine copies it for a container. */
  async function copiedUp(change = ''): Promise<string> {
    const volume = await bench.volume();
    await docker('rm', '--volumes', await docker('create', '--volume', `${volume}:${at}`, gnu));
    await bench.run(volume, change);
    return volume;
  }

  test('when it is empty, or has what mkfs makes', async () => {
    expect(await ask(await bench.volume(), null)).toBe(true);
    const volume = await bench.volume();
    await bench.run(volume, 'mkdir lost+found; chown 5:6 .');
    expect(await ask(volume, null)).toBe(true);
    await bench.run(volume, 'mkdir lost+found/x');
    expect(await ask(volume, null)).toBe(false);
    await bench.run(volume, 'rmdir lost+found/x; mkdir empty');
    expect(await ask(volume, null)).toBe(false);
  });

  test('when it has what the engine has put there from the image', async () => {
    const volume = await copiedUp('chown --recursive 70:70 .; touch .; chmod 0700 .');
    expect(await ask(volume, at)).toBe(true);
    expect(await ask(volume, null)).toBe(false);
    expect(await ask(volume, '/usr/share')).toBe(false);
    expect(await ask(volume, '/nowhere')).toBe(false);
    expect(await ask(volume, at, noShell)).toBe(false);
  });

  test.each([
    ['a changed byte', 'printf X | dd of=passwd conv=notrunc status=none'],
    ['one more file', ': > one-more'],
    ['one more folder', 'mkdir .one-more'],
    ['a link in the place of a file', 'rm passwd; ln -s group passwd'],
    ['a longer file', 'echo x >> passwd'],
  ])('but not with %s', async (_what, change) => {
    expect(await ask(await copiedUp(change), at)).toBe(false);
  });

  test('but a folder of the host is not, as the engine puts nothing there', async () => {
    const volume = await copiedUp();
    const root = await docker('volume', 'inspect', '--format', '{{.Mountpoint}}', volume);
    const storage = { type: 'bind', source: root } as const;
    const target = { storage, image: gnu, labels: bench.labels };
    expect(await isFresh(runtime, target, at, signal)).toBe(false);
  });
});
