import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { createCopyCloner } from '../../src/runtime/copy-cloner.ts';
import { connectDocker } from '../../src/runtime/docker.ts';
import { createOverlayCloner } from '../../src/runtime/overlay-cloner.ts';
import { CloneUnavailable, type CloneTarget } from '../../src/runtime/volume-cloner.ts';
import { docker, madeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { VolumeBench } from '../support/volume-bench.ts';
import { nameWithNewline, oneOfEverything, readTree, type Tree } from '../support/volume-tree.ts';

const runtime = connectDocker();
const { signal } = new AbortController();
const image = testImage('postgres:17');

const cloners = {
  overlay: createOverlayCloner(runtime),
  copy: createCopyCloner(runtime, 'copy'),
};

let bench: VolumeBench;
let golden: string;
let goldenTree: Tree;
let goldenSum: string;

beforeAll(async () => {
  bench = await VolumeBench.start();
  golden = await bench.volume();
  await bench.run(golden, `${oneOfEverything}\n${nameWithNewline}`);
  goldenTree = await readTree(bench, golden);
  goldenSum = await sumOf(golden);
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

/** Of all bytes and all that stat knows of a file, but when it was read. */
async function sumOf(volume: string): Promise<string> {
  const script =
    'find . -type p -delete; tar --create --sort=name --format=posix --xattrs . | sha256sum';
  return (await bench.run(volume, script)).toString();
}

let count = 0;
const targetOf = (wanted: Partial<CloneTarget> = {}): CloneTarget => ({
  ...{ golden, clone: `${bench.prefix}-clone-${(count += 1)}`, image },
  labels: bench.labels,
  ...wanted,
});

/** Overlays are there while a container has them mounted. */
async function whileMounted<T>(volumes: readonly string[], work: () => Promise<T>): Promise<T> {
  const mounts = volumes.flatMap((volume, i) => ['--volume', `${volume}:/held-${i}:nocopy`]);
  const args = ['--network', 'none', '--label', bench.label, '--entrypoint', 'sleep', ...mounts];
  const id = await docker('run', '--detach', '--init', ...args, image, 'infinity');
  try {
    return await work();
  } finally {
    await docker('rm', '--force', id);
  }
}

const treeOf = (volume: string): Promise<Tree> =>
  whileMounted([volume], () => readTree(bench, volume));

/** What a database may do to its files, and what it never would. */
const havoc = `
rm -rf mode-0700 links in; echo changed > owner-small; echo more >> size-10240; truncate --size 0 size-513
mv empty emptied; mv owned/inside inside; mkdir -p in/new; echo new > in/new/file; ln size-512 hard-new
chmod 0777 . setgid; chown 5:5 . sticky; ln -sf elsewhere soft; touch --date '2015-01-01Z' time-0 .
rm -f -- -rf sparse; dd if=/dev/urandom of=only-a-hole bs=4k count=9 conv=notrunc status=none`;

describe.each(Object.entries(cloners))('%s', (_name, cloner) => {
  test('a clone holds all that the golden volume does, and is put back to that, which stays as it is', async () => {
    const target = targetOf();
    await cloner.create(target, signal);
    expect(await treeOf(target.clone)).toEqual(goldenTree);
    for (let round = 1; round <= 2; round += 1) {
      await whileMounted([target.clone], () => bench.run(target.clone, havoc));
      expect(await treeOf(target.clone)).not.toEqual(goldenTree);
      await cloner.reset(target, signal);
      expect(await treeOf(target.clone)).toEqual(goldenTree);
      expect(await sumOf(golden)).toBe(goldenSum);
    }
  });

  test('clones do not see each other', async () => {
    const [one, other] = [targetOf(), targetOf()];
    await Promise.all([cloner.create(one, signal), cloner.create(other, signal)]);
    const seen = await whileMounted([one.clone, other.clone], async () => {
      await bench.run(one.clone, havoc);
      return readTree(bench, other.clone);
    });
    expect(seen).toEqual(goldenTree);
  });

  test('without a golden volume there is no clone, and nothing is left', async () => {
    const before = await madeWith(bench.label);
    const target = targetOf({ golden: `${bench.prefix}-missing` });
    await expect(cloner.create(target, signal)).rejects.toMatchObject({
      code: 'copy-failed',
      message: `there is no volume ${target.golden}`,
    });
    expect(await madeWith(bench.label)).toEqual(before);
    expect(await runtime.findVolume(target.golden)).toBeUndefined();
  });

  test('a name that is taken is left as it is', async () => {
    const taken = await bench.volume();
    await bench.run(taken, 'echo mine > file');
    const before = await madeWith(bench.label);
    await expect(cloner.create(targetOf({ clone: taken }), signal)).rejects.toMatchObject({
      code: 'volume-taken',
    });
    expect(await madeWith(bench.label)).toEqual(before);
    expect((await bench.run(taken, 'cat file')).toString()).toBe('mine\n');
  });
});

describe('a clone that cannot be made leaves nothing', () => {
  const unavailable = {
    'an image without a shell': { cloner: cloners.copy, image: testImage('no-tar') },
    'an image without GNU cp': { cloner: cloners.copy, image: testImage('postgres:17-alpine') },
    'a disk that shares no blocks': { cloner: createCopyCloner(runtime, 'reflink'), image },
  };
  let before: Awaited<ReturnType<typeof madeWith>>;
  afterEach(async () => {
    expect(await madeWith(bench.label)).toEqual(before);
  });

  test.each(Object.entries(unavailable))('%s', async (_name, { cloner, image: given }) => {
    before = await madeWith(bench.label);
    await expect(cloner.create(targetOf({ image: given }), signal)).rejects.toThrow(
      CloneUnavailable,
    );
  });
});

test('a reset that was cut off can be repeated', async () => {
  const target = targetOf();
  await cloners.overlay.create(target, signal);
  await docker('volume', 'rm', `${target.clone}-layer`);
  await cloners.overlay.reset(target, signal);
  expect(await treeOf(target.clone)).toEqual(goldenTree);
});
