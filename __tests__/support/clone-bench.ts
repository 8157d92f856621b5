import { afterAll, beforeAll } from '@jest/globals';

import type { ContainerRuntime } from '../../src/runtime/runtime.ts';
import type { CloneTarget } from '../../src/runtime/volume-cloner.ts';
import { connectEngine } from './connect-engine.ts';
import { docker } from './docker-cli.ts';
import { testImage } from './images.ts';
import { VolumeBench } from './volume-bench.ts';
import { nameWithNewline, oneOfEverything, readTree, type Tree } from './volume-tree.ts';

/** A golden volume with one of everything, what is in it, and how to look at clones of it. */
export interface CloneBench {
  readonly runtime: ContainerRuntime;
  readonly volumes: VolumeBench;
  readonly golden: string;
  readonly goldenTree: Tree;
  readonly goldenSum: string;
  /** Of all bytes and all that stat knows of a file, but when it was read. */
  readonly sumOf: (volume: string) => Promise<string>;
  /** Of a clone with a new name. */
  readonly targetOf: (wanted?: Partial<CloneTarget>) => CloneTarget;
  readonly treeOf: (volume: string) => Promise<Tree>;
  /** Runs a bash script as root in a clone, and tells what it holds then. */
  readonly changed: (volume: string, script: string) => Promise<Tree>;
  /** Overlays are there while a container has them mounted. */
  readonly whileMounted: <T>(volumes: readonly string[], work: () => Promise<T>) => Promise<T>;
}

/** What a database may do to its files, and what it never would. */
export const havoc = `
rm -rf mode-0700 links in; echo changed > owner-small; echo more >> size-10240; truncate --size 0 size-513
mv empty emptied; mv owned/inside inside; mkdir -p in/new; echo new > in/new/file; ln size-512 hard-new
chmod 0777 . setgid; chown 5:5 . sticky; ln -sf elsewhere soft; touch --date '2015-01-01Z' time-0 .
rm -f -- -rf sparse; dd if=/dev/urandom of=only-a-hole bs=4k count=9 conv=notrunc status=none`;

/** For all tests of a file. */
export function useCloneBench(): () => CloneBench {
  let bench: CloneBench;
  beforeAll(async () => {
    bench = await startCloneBench();
  });
  afterAll(() => bench.volumes[Symbol.asyncDispose]());
  return () => bench;
}

async function startCloneBench(): Promise<CloneBench> {
  const image = testImage('postgres:17');
  const volumes = await VolumeBench.start();
  const golden = await volumes.volume();
  await volumes.run(golden, `${oneOfEverything}\n${nameWithNewline}`);
  const sumOf = async (volume: string): Promise<string> =>
    (
      await volumes.run(volume, 'tar --create --sort=name --format=posix --xattrs . | sha256sum')
    ).toString();
  let count = 0;
  const bench: CloneBench = {
    ...{ runtime: connectEngine(), volumes, golden, sumOf },
    goldenTree: await readTree(volumes, golden),
    goldenSum: await sumOf(golden),
    targetOf: (wanted = {}) => ({
      ...{ golden, clone: `${volumes.prefix}-clone-${(count += 1)}`, image },
      labels: volumes.labels,
      ...wanted,
    }),
    treeOf: (volume) => bench.whileMounted([volume], () => readTree(volumes, volume)),
    changed: (volume, script) =>
      bench.whileMounted([volume], async () => {
        await volumes.run(volume, script);
        return readTree(volumes, volume);
      }),
    async whileMounted(names, work) {
      const mounts = names.flatMap((name, i) => ['--volume', `${name}:/held-${i}:nocopy`]);
      const args = ['--network', 'none', '--label', volumes.label, '--entrypoint', 'sleep'];
      const id = await docker('run', '--detach', '--init', ...args, ...mounts, image, 'infinity');
      try {
        return await work();
      } finally {
        await docker('rm', '--force', '--volumes', id);
      }
    },
  };
  return bench;
}
