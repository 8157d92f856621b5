import { describe, expect, test } from '@jest/globals';

import { createCopyCloner } from '../../src/runtime/copy-cloner.ts';
import { createOverlayCloner } from '../../src/runtime/overlay-cloner.ts';
import { CloneUnavailable } from '../../src/runtime/volume-cloner.ts';
import { useCloneBench } from '../support/clone-bench.ts';
import { testCloner } from '../support/cloner-suite.ts';
import { docker, madeWith } from '../support/docker-cli.ts';
import { useOwnEngine } from '../support/own-engine.ts';
import { mountXfsDisk } from '../support/xfs-disk.ts';

// On a disk whose files can share blocks, and which is small enough to be filled.

const engine = useOwnEngine('500m', ['postgres:17'], mountXfsDisk);
const bench = useCloneBench();
const { signal } = new AbortController();

testCloner('reflink', bench, (runtime) => createCopyCloner(runtime, 'reflink'));

const mb = 1_000_000;

test('reflink: a clone takes next to no room', async () => {
  const { runtime, targetOf, volumes } = bench();
  const golden = await volumes.volume();
  await volumes.run(golden, 'head -c 50M /dev/urandom >file; sync .');
  const before = await engine().freeBytes();
  const target = targetOf({ golden });
  const cloner = createCopyCloner(runtime, 'reflink');
  await cloner.create(target, signal);
  await volumes.run(golden, 'sync .');
  expect(before - (await engine().freeBytes())).toBeLessThan(5 * mb);
  await cloner.remove(target);
  await docker('volume', 'rm', golden);
});

describe('a full disk', () => {
  test('ends what writes to a clone, and a reset makes room again', async () => {
    const { changed, golden, goldenSum, goldenTree, runtime, sumOf, targetOf, treeOf } = bench();
    const target = targetOf();
    const cloner = createOverlayCloner(runtime);
    await cloner.create(target, signal);
    using room = new DisposableStack();
    room.use(await engine().leaveOnly(20 * mb));
    const writing = changed(target.clone, 'head -c 100M /dev/zero >>size-10240');
    await expect(writing).rejects.toThrow('No space left on device');
    expect(await sumOf(golden)).toBe(goldenSum);
    await cloner.reset(target, signal);
    expect(await treeOf(target.clone)).toEqual(goldenTree);
    expect(await sumOf(golden)).toBe(goldenSum);
  });

  test('leaves nothing of a copy that a reset could not make, and it can be repeated', async () => {
    const { changed, runtime, targetOf, treeOf, volumes } = bench();
    const golden = await volumes.volume();
    await volumes.run(golden, 'for n in 1 2 3; do head -c 20M /dev/urandom >file-$n; done');
    const target = targetOf({ golden });
    const cloner = createCopyCloner(runtime, 'copy');
    await cloner.create(target, signal);
    const whole = await treeOf(target.clone);
    expect(Object.keys(await changed(target.clone, 'rm file-*'))).toEqual(['.']);
    {
      using room = new DisposableStack();
      room.use(await engine().leaveOnly(30 * mb));
      await expect(cloner.reset(target, signal)).rejects.toMatchObject({ code: 'copy-failed' });
      expect(Object.keys(await treeOf(target.clone))).toEqual(['.']);
    }
    await cloner.reset(target, signal);
    expect(await treeOf(target.clone)).toEqual(whole);
    await cloner.remove(target);
    await docker('volume', 'rm', golden);
  });

  test('has no room for a copy: there is none, and nothing is left', async () => {
    const { runtime, targetOf, volumes } = bench();
    const golden = await volumes.volume();
    await volumes.run(golden, 'head -c 30M /dev/urandom >file');
    using room = new DisposableStack();
    room.use(await engine().leaveOnly(20 * mb));
    const before = await madeWith(volumes.label);
    const failed = createCopyCloner(runtime, 'copy').create(targetOf({ golden }), signal);
    await expect(failed).rejects.toThrow(CloneUnavailable);
    await expect(failed).rejects.toThrow('no room for a copy');
    expect(await madeWith(volumes.label)).toEqual(before);
  });
});
