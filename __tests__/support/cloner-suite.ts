import { describe, expect, test } from '@jest/globals';

import type { ContainerRuntime } from '../../src/runtime/runtime.ts';
import type { VolumeCloner } from '../../src/runtime/volume-cloner.ts';
import { havoc, type CloneBench } from './clone-bench.ts';
import { docker, madeWith } from './docker-cli.ts';
import { readTree } from './volume-tree.ts';

const { signal } = new AbortController();

/** What holds for every way of making clones. */
export function testCloner(
  name: string,
  bench: () => CloneBench,
  clonerOn: (runtime: ContainerRuntime) => VolumeCloner,
): void {
  describe(name, () => {
    const cloner = (): VolumeCloner => clonerOn(bench().runtime);

    test('a clone holds all that the golden volume does, and is put back to that, which stays as it is', async () => {
      const { golden, goldenTree, goldenSum, changed, sumOf, treeOf, targetOf } = bench();
      const target = targetOf();
      await cloner().create(target, signal);
      expect(await treeOf(target.clone)).toEqual(goldenTree);
      for (let round = 1; round <= 2; round += 1) {
        expect(await changed(target.clone, havoc)).not.toEqual(goldenTree);
        await cloner().reset(target, signal);
        expect(await treeOf(target.clone)).toEqual(goldenTree);
        expect(await sumOf(golden)).toBe(goldenSum);
      }
      await cloner().remove(target);
      expect((await madeWith(bench().volumes.label)).volumes.join()).not.toContain(target.clone);
    });

    test('clones do not see each other', async () => {
      const { goldenTree, targetOf, volumes, whileMounted } = bench();
      const [one, other] = [targetOf(), targetOf()];
      await Promise.all([cloner().create(one, signal), cloner().create(other, signal)]);
      const seen = await whileMounted([one.clone, other.clone], async () => {
        await volumes.run(one.clone, havoc);
        return readTree(volumes, other.clone);
      });
      expect(seen).toEqual(goldenTree);
    });

    test('without a golden volume there is no clone, and nothing is left', async () => {
      const { runtime, targetOf, volumes } = bench();
      const before = await madeWith(volumes.label);
      const target = targetOf({ golden: `${volumes.prefix}-missing` });
      await expect(cloner().create(target, signal)).rejects.toMatchObject({
        code: 'copy-failed',
        message: `there is no volume ${target.golden}`,
      });
      expect(await madeWith(volumes.label)).toEqual(before);
      expect(await runtime.findVolume(target.golden)).toBeUndefined();
    });

    test('a name that is taken is left as it is', async () => {
      const { targetOf, volumes } = bench();
      const taken = await volumes.volume();
      await volumes.run(taken, 'echo mine > file');
      const before = await madeWith(volumes.label);
      await expect(cloner().create(targetOf({ clone: taken }), signal)).rejects.toMatchObject({
        code: 'volume-taken',
      });
      expect(await madeWith(volumes.label)).toEqual(before);
      expect((await volumes.run(taken, 'cat file')).toString()).toBe('mine\n');
      await docker('volume', 'rm', taken);
    });
  });
}
