import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createCopyCloner } from '../../src/runtime/copy-cloner.ts';
import { createOverlayCloner } from '../../src/runtime/overlay-cloner.ts';
import type { ContainerRuntime } from '../../src/runtime/runtime.ts';
import { CloneUnavailable, type VolumeCloner } from '../../src/runtime/volume-cloner.ts';
import { havoc, useCloneBench } from '../support/clone-bench.ts';
import { testCloner } from '../support/cloner-suite.ts';
import { docker, madeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import type { Tree } from '../support/volume-tree.ts';

const { signal } = new AbortController();
const bench = useCloneBench();

const copyCloner = (runtime: ContainerRuntime): VolumeCloner => createCopyCloner(runtime, 'copy');
testCloner('overlay', bench, createOverlayCloner);
testCloner('copy', bench, copyCloner);

test('copy, with a cp that is not GNU: a clone holds all that the golden volume does, but fractions of seconds', async () => {
  const { changed, golden, goldenSum, goldenTree, sumOf, treeOf, targetOf, runtime } = bench();
  const cloner = copyCloner(runtime);
  const target = targetOf({ image: testImage('postgres:17-alpine') });
  await cloner.create(target, signal);
  expect(await treeOf(target.clone)).toEqual(toTheSecond(goldenTree));
  expect(await changed(target.clone, havoc)).not.toEqual(toTheSecond(goldenTree));
  await cloner.reset(target, signal);
  expect(await treeOf(target.clone)).toEqual(toTheSecond(goldenTree));
  expect(await sumOf(golden)).toBe(goldenSum);
});

function toTheSecond(tree: Tree): Tree {
  const entries = Object.entries(tree).map(([name, entry]) => [
    name,
    { ...entry, time: entry.time.replace(/\.\d+$/, '.0000000000') },
  ]);
  return Object.fromEntries(entries) as Tree;
}

/** On an engine that takes the options of a volume for others, or for none, as Podman does without root. */
function overlayMadeOf(options: Readonly<Record<string, string>> | undefined) {
  return (runtime: ContainerRuntime): VolumeCloner =>
    createOverlayCloner({
      ...runtime,
      createVolume: (name, labels, given, driver) => {
        const changed = options &&
          driver && { ...driver, options: { ...driver.options, ...options } };
        return runtime.createVolume(name, labels, given, changed);
      },
    });
}

describe('a clone that cannot be made leaves nothing', () => {
  const shares = (runtime: ContainerRuntime): VolumeCloner => createCopyCloner(runtime, 'reflink');
  const [gnu, busybox, shellless] = ['postgres:17', 'postgres:17-alpine', 'no-tar'].map(testImage);
  const unavailable = {
    'an image without a shell': [copyCloner, shellless, 'has no shell'],
    'blocks to share without GNU cp': [shares, busybox, 'no GNU cp'],
    'a disk that shares no blocks': [shares, gnu, 'cannot share blocks'],
    'an engine that refuses to mount': [
      overlayMadeOf({ o: 'lowerdir=/a' }),
      gnu,
      'failed to mount',
    ],
    'an engine that shows the folder below': [overlayMadeOf(undefined), gnu, 'cannot mount'],
  } as const;
  let before: Awaited<ReturnType<typeof madeWith>>;
  beforeEach(async () => {
    before = await madeWith(bench().volumes.label);
  });
  afterEach(async () => {
    expect(await madeWith(bench().volumes.label)).toEqual(before);
  });

  test.each(Object.entries(unavailable))('%s', async (_name, [clonerOn, image, reason]) => {
    const { runtime, targetOf } = bench();
    const failed = clonerOn(runtime).create(targetOf({ image: image ?? '' }), signal);
    await expect(failed).rejects.toThrow(CloneUnavailable);
    await expect(failed).rejects.toThrow(reason);
  });
});

describe('overlay', () => {
  test('a reset that was cut off can be repeated, and nothing starts on the clone until then', async () => {
    const { goldenTree, runtime, targetOf, treeOf, volumes } = bench();
    const target = targetOf();
    const cloner = createOverlayCloner(runtime);
    await cloner.create(target, signal);
    const layer = `${target.clone}-layer`;
    const show = ['--network', 'none', '--entrypoint', 'ls', '--volume', `${target.clone}:/clone`];
    for (const made of ['nothing', 'the volume', 'a folder of two'] as const) {
      await docker('volume', 'rm', layer);
      if (made !== 'nothing') await docker('volume', 'create', '--label', volumes.label, layer);
      if (made === 'a folder of two') await volumes.run(layer, 'mkdir upper');
      const started = docker('run', '--rm', '--label', volumes.label, ...show, target.image);
      await expect(started).rejects.toThrow(/no such file or directory/);
      await cloner.reset(target, signal);
      expect(await treeOf(target.clone)).toEqual(goldenTree);
    }
  });

  test('what one clone has shown of its golden volume is not looked for again', async () => {
    const { changed, goldenTree, runtime, targetOf, treeOf } = bench();
    const first = targetOf();
    await createOverlayCloner(runtime).create(first, signal);
    const { labels } = (await runtime.findVolume(first.clone)) ?? {};
    const unread = createOverlayCloner({
      ...runtime,
      getArchive: () => Promise.reject(new Error('read')),
      stat: () => Promise.reject(new Error('looked for')),
    });
    const target = targetOf(labels && { labels });
    await unread.create(target, signal);
    expect(await treeOf(target.clone)).toEqual(goldenTree);
    expect(await changed(target.clone, havoc)).not.toEqual(goldenTree);
    await unread.reset(target, signal);
    expect(await treeOf(target.clone)).toEqual(goldenTree);
  });

  test('the golden volume is the same after 50 resets, whatever root has done in its clones', async () => {
    const { golden, goldenSum, runtime, sumOf, targetOf, volumes } = bench();
    const cloner = createOverlayCloner(runtime);
    const seen: string[] = [];
    const cycles = Array.from({ length: 5 }, async () => {
      const target = targetOf();
      await cloner.create(target, signal);
      // As a database: one container, that is ended and started again.
      const id = await docker(
        ...['create', '--label', volumes.label, '--network', 'none', '--user', '0:0'],
        ...['--volume', `${target.clone}:/clone:nocopy`, '--workdir', '/clone'],
        ...['--env', 'LC_ALL=C', '--entrypoint', 'bash', target.image],
        ...['-euc', `${sum}\n${havoc}`],
      );
      for (let cycle = 1; cycle <= 10; cycle += 1) {
        seen.push(await docker('start', '--attach', id));
        await cloner.reset(target, signal);
      }
    });
    await Promise.all(cycles);
    const expected = (await volumes.run(golden, sum)).toString().trim();
    expect(seen).toEqual(Array(50).fill(expected));
    expect(await sumOf(golden)).toBe(goldenSum);
  });
});

/** Of all that a copy of the files has, too: the last change of an inode is its own. */
const sum = `tar --create --sort=name --format=posix --pax-option=delete=atime,delete=ctime . | sha256sum`;
