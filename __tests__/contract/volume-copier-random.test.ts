import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { CopyBench, wayNames, ways } from '../support/copy-ways.ts';
import { randomTree, scriptFor } from '../support/random-tree.ts';
import { kept, readTree } from '../support/volume-tree.ts';

let bench: CopyBench;

beforeAll(async () => {
  bench = await CopyBench.start();
});

afterAll(() => bench[Symbol.asyncDispose]());

test.each(wayNames)('%s: any tree comes back as it was', async (way) => {
  await fc.assert(
    fc.asyncProperty(randomTree, async (tree) => {
      const volume = await bench.volumes.volume();
      await bench.volumes.run(volume, scriptFor(tree));
      const restored = await bench.restore(way, await bench.save(way, volume));
      const before = await readTree(bench.volumes, volume);
      const after = await readTree(bench.volumes, restored.volume);
      expect(kept(after, ways[way])).toEqual(kept(before, ways[way]));
    }),
    // A counterexample that shrinks takes a second for each step.
    { numRuns: 15, interruptAfterTimeLimit: 150_000, markInterruptAsFailure: true },
  );
  expect(await bench.leftovers()).toEqual([]);
});
