import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { statSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';

import { pack } from 'tar-stream';

import { CopyBench, wayNames, ways, type CopySettings, type Saved } from '../support/copy-ways.ts';
import { testImage } from '../support/images.ts';
import { kept, oneOfEverything, readTree } from '../support/volume-tree.ts';

let bench: CopyBench;
/** A volume with one of everything that all ways keep. */
let everything: string;

beforeAll(async () => {
  bench = await CopyBench.start();
  everything = await bench.volumes.volume();
  await bench.volumes.run(everything, oneOfEverything);
});

afterEach(async () => {
  expect(await bench.leftovers()).toEqual([]);
});

afterAll(() => bench[Symbol.asyncDispose]());

async function expectSame(
  volume: string,
  restored: string,
  way: { readonly exact: boolean },
): Promise<void> {
  const [before, after] = await Promise.all([
    readTree(bench.volumes, volume),
    readTree(bench.volumes, restored),
  ]);
  expect(kept(after, way)).toEqual(kept(before, way));
}

describe.each(wayNames)('%s', (way) => {
  const { method } = ways[way];
  let saved: Saved;

  beforeAll(async () => {
    saved = await bench.save(way, everything);
  });

  test('brings one of everything back as it was', async () => {
    const restored = await bench.restore(way, saved);
    expect([saved.method, restored.method]).toEqual([method, method]);
    await expectSame(everything, restored.volume, ways[way]);
  });

  test('saves the same volume to the same bytes, and changes nothing in it', async () => {
    const before = await bench.volumes.run(everything, "find . -printf '%p %A@ %T@ %C@\\n'");
    const again = await bench.save(way, everything);
    expect(again).toEqual({ ...saved, file: again.file });
    expect(await bench.volumes.run(everything, "find . -printf '%p %A@ %T@ %C@\\n'")).toEqual(
      before,
    );
  });

  test('brings an empty volume back with the owner and mode of its root', async () => {
    const volume = await bench.volumes.volume();
    await bench.volumes.run(volume, 'chown 999:998 .; chmod 2750 .; touch -d @1000000000 .');
    const empty = await bench.save(way, volume);
    expect(empty).toMatchObject({ entries: 1, features: [] });
    const restored = await bench.restore(way, empty);
    await expectSame(volume, restored.volume, ways[way]);
  });

  test('keeps names with newlines', async () => {
    const volume = await bench.volumes.volume();
    await bench.volumes.run(volume, `echo x > $'a\\nb'; mkdir $'\\n'; ln -s $'a\\nb' $'\\n/\\n'`);
    const restored = await bench.restore(way, await bench.save(way, volume));
    await expectSame(volume, restored.volume, ways[way]);
  });

  test('leaves FIFOs and sockets out, with all their names, and says so', async () => {
    const volume = await bench.volumes.volume();
    await bench.volumes.makeSocket(volume, 'socket');
    await bench.volumes.run(
      volume,
      `mkfifo fifo; ln fifo fifo-too; mknod device c 1 3; echo x > file; mkdir folder
       name=$(printf 'f%.0s' {1..200}); mkfifo folder/$name; ln folder/$name long-too`,
    );
    const result = await bench.save(way, volume);
    expect(result.entries).toBe(3);
    expect(result.notes.join('\n')).toMatch(/socket/);
    expect(result.notes.join('\n')).toMatch(
      /left out FIFOs and device nodes: .*\.\/device.*\.\/fifo/,
    );
    const restored = await bench.restore(way, result);
    expect(Object.keys(await readTree(bench.volumes, restored.volume))).toEqual([
      '.',
      './file',
      './folder',
    ]);
  });

  test('leaves out what is of no use, whatever it is called beside, and what is below it', async () => {
    const volume = await bench.volumes.volume();
    await bench.volumes.run(
      volume,
      `mkdir wal wal/status notes notes/deep
       for name in 0A 0F 10 A0 A0.partial; do echo $name > wal/$name; done; echo x > wal/status/A0
       truncate --size 3M wal/F0; echo x > wal/$'A\n'; ln wal/A0 wal/A1; ln -s nowhere wal/B2
       echo x > notes/.hidden; echo x > notes/deep/file; echo x > A0; ln wal/10 wal/C3`,
    );
    const leaveOut = ['wal/0[BCDEF]', 'wal/[123456789ABCDEF]?', 'notes/*'].map((pattern) => ({
      pattern,
      reason: 'of no use',
    }));
    const kept = ['./A0', './notes', './wal', './wal/0A', './wal/A0.partial', './wal/status'];
    const saved = await bench.save(way, volume, { leaveOut });
    const restored = await bench.restore(way, saved);
    const names = Object.keys(await readTree(bench.volumes, restored.volume));
    expect(names).toEqual(['.', ...kept, './wal/status/A0']);
    expect(saved.notes.join()).not.toContain('left out FIFOs');
  });
});

test('what is left out in a part of its names only is whole under the others, or not saved at all', async () => {
  const volume = await bench.volumes.volume();
  await bench.volumes.run(volume, 'mkdir wal; echo content > wal/A0; ln wal/A0 wal/kept');
  const settings = { leaveOut: [{ pattern: 'wal/A?', reason: 'of no use' }] };
  const saved = await bench.save('pipe with GNU tar', volume, settings);
  const { volume: restored } = await bench.restore('pipe with GNU tar', saved);
  expect((await bench.volumes.run(restored, 'cat wal/*')).toString()).toBe('content\n');
  await expect(bench.save('archive API', volume, settings)).rejects.toMatchObject({
    code: 'copy-failed',
    message: './wal/kept is another name of the file ./wal/A0, which is left out: it would be lost',
  });
});

describe('what only one way keeps', () => {
  /** Extended attributes and access lists as tar itself reads them. */
  const attributes = async (volume: string): Promise<string> =>
    (
      await bench.volumes.run(
        volume,
        "tar --create --format=posix --xattrs --acls . | grep --text --only-matching 'SCHILY.*' || true",
      )
    ).toString();

  let volume: string;

  beforeAll(async () => {
    volume = await bench.volumes.volume();
    const tar = pack();
    const pax = {
      'SCHILY.xattr.user.origin': 'kept as it is',
      'SCHILY.acl.access': 'user::rw-\nuser:1234:r--\ngroup::r--\nmask::r--\nother::---\n',
    };
    tar.entry({ name: 'file', pax }, 'content');
    tar.finalize();
    await bench.volumes.pipe(volume, ['tar', '--extract', '--xattrs', '--acls'], await buffer(tar));
  });

  test('GNU tar keeps extended attributes and access lists', async () => {
    const saved = await bench.save('pipe with GNU tar', volume);
    expect(saved.features).toContain('xattrs');
    const restored = await bench.restore('pipe with GNU tar', saved);
    const before = await attributes(volume);
    expect(before).toMatch(/acl.*\n(.*\n)*.*user.origin=kept as it is/);
    expect(await attributes(restored.volume)).toBe(before);
  });

  test('the archive API does not, and says so', async () => {
    const saved = await bench.save('archive API', volume);
    expect(saved.notes.join()).toContain('extended attributes');
    const restored = await bench.restore('archive API', saved);
    expect(await attributes(restored.volume)).toBe('');
  });

  test('GNU tar keeps symlinks that lead out of the volume, which engines refuse', async () => {
    const leading = await bench.volumes.volume();
    await bench.volumes.run(leading, 'mkdir a; ln -s ../../outside a/link');
    const saved = await bench.save('pipe with GNU tar', leading);
    const restored = await bench.restore('pipe with GNU tar', saved);
    await expectSame(leading, restored.volume, ways['pipe with GNU tar']);
    await expect(bench.restore('archive API', saved)).rejects.toMatchObject({
      code: 'copy-failed',
      message: expect.stringContaining('a/link'),
    });
  });

  test('GNU tar keeps a file of 9 GB that is mostly a hole small', async () => {
    const sparse = await bench.volumes.volume();
    const look = async (of: string): Promise<string> =>
      (
        await bench.volumes.run(
          of,
          `stat -c %s file; for at in 0 4500 9215; do dd if=file bs=1M skip=$at count=1 status=none | sha256sum; done
           [ $(du --summarize --block-size=1M . | cut -f1) -lt 20 ] && echo small`,
        )
      ).toString();
    await bench.volumes.run(
      sparse,
      `truncate --size 9G file
       for at in 0 4500 9215; do
         head -c 1M /dev/urandom | dd of=file bs=1M seek=$at conv=notrunc status=none
       done`,
    );
    const saved = await bench.save('pipe with GNU tar', sparse);
    expect(saved.features).toContain('sparse');
    expect(saved.tarBytes).toBeLessThan(5_000_000);
    expect(statSync(saved.file).size).toBeLessThan(5_000_000);
    const restored = await bench.restore('pipe with GNU tar', saved);
    const before = await look(sparse);
    expect(before).toMatch(/^9663676416\n(.*\n){3}small\n$/);
    expect(await look(restored.volume)).toBe(before);
  });
});

describe('a snapshot made one way', () => {
  const coarse = { exact: false };

  test('is restored the other way', async () => {
    const byPipe = await bench.save('pipe with GNU tar', everything);
    const byArchive = await bench.save('archive API', everything);
    const restored = await Promise.all([
      bench.restore('archive API', byPipe),
      bench.restore('pipe with GNU tar', byArchive),
    ]);
    for (const { volume } of restored) await expectSame(everything, volume, coarse);
  });

  test('is restored with an image that has only busybox tar, through the archive API', async () => {
    const saved = await bench.save('pipe with GNU tar', everything);
    expect(saved.features).toEqual(['pax', 'sparse']);
    const restored = await bench.restore('pipe with GNU tar', saved, {
      method: 'auto',
      image: testImage('postgres:17-alpine'),
    });
    expect(restored.method).toBe('archive');
    expect(bench.messages).toContain('copying through the archive API: the image has no GNU tar');
    await expectSame(everything, restored.volume, coarse);
  });
});

describe('compression', () => {
  const program: CopySettings = {};
  const nodes: CopySettings = { zstd: undefined };
  const none: CopySettings = { compression: { kind: 'none' } };

  test.each([
    ['the zstd program', program, nodes],
    ["Node's own zstd", nodes, program],
    ['none', none, none],
  ])(
    '%s: the same bytes each time, and any reader gets them back',
    async (_name, writer, reader) => {
      const saved = await bench.save('pipe with GNU tar', everything, writer);
      const again = await bench.save('pipe with GNU tar', everything, writer);
      expect(again).toEqual({ ...saved, file: again.file });
      for (const settings of [writer, reader]) {
        const restored = await bench.restore('pipe with GNU tar', saved, settings);
        await expectSame(everything, restored.volume, ways['pipe with GNU tar']);
      }
    },
  );
});

describe('100,000 small files', () => {
  const count = 'find . -type f -printf x | wc --bytes; cat */* | sha256sum';
  let volume: string;

  beforeAll(async () => {
    volume = await bench.volumes.volume();
    await bench.volumes.run(
      volume,
      'for i in {0..9}; do mkdir $i; seq 10000 | split --lines 1 --suffix-length 4 --numeric-suffixes - $i/; done',
    );
  });

  test.each(wayNames)('%s', async (way) => {
    const saved = await bench.save(way, volume);
    expect(saved.entries).toBe(100_011);
    const restored = await bench.restore(way, saved);
    const [before, after] = await Promise.all([
      bench.volumes.run(volume, count),
      bench.volumes.run(restored.volume, count),
    ]);
    expect(before.toString()).toMatch(/^100000\n/);
    expect(after).toEqual(before);
  });
});
