import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';

import { beforeEach, describe, expect, test } from '@jest/globals';

import { systemClock } from '../../../src/clock.ts';
import { silentLog } from '../../../src/index.ts';
import { createPlainArchiver } from '../../../src/runtime/plain-archive.ts';
import { openBundle, writeBundle } from '../../../src/snapshot/bundle.ts';
import type { DatabaseVolume, VolumesManifest } from '../../../src/snapshot/manifest.ts';
import type { ArchiveTools } from '../../../src/usecases/context.ts';
import { exportVolume, type ExportRequest } from '../../../src/usecases/export.ts';
import {
  importArchive,
  type ImportReport,
  type ImportRequest,
} from '../../../src/usecases/import.ts';
import { verifySnapshot } from '../../../src/usecases/verify.ts';
import { makeManifest } from '../../support/manifests.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { useScratch } from '../../support/store-bundles.ts';
import { tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';
import { listTar } from '../../support/tar-list.ts';

const scratch = useScratch();
const { signal } = new AbortController();
const nowMs = Date.UTC(2026, 10, 21, 9, 0, 0);

let store: MemoryStore;
let messages: string[];
let dir: string;

beforeEach(async () => {
  store = new MemoryStore(undefined, () => 0);
  messages = [];
  dir = await scratch.folder('files');
});

/** With a scratch folder of its own, as each run has. */
async function tools(): Promise<ArchiveTools> {
  const log = { ...silentLog, info: (message: string) => messages.push(message) };
  return {
    store,
    log,
    clock: { ...systemClock, now: () => nowMs },
    scratchDir: await scratch.folder('run'),
    archiver: createPlainArchiver({ log, zstd: undefined }),
  };
}

const recipe = Buffer.concat([
  ...[tarHeader({ name: 'data/', type: '5' }), tarEntry('data/file', 'content')],
  ...[tarHeader({ name: 'config/', type: '5' }), tarEntry('config/file', 'settings'), tarEnd],
]);
const onlyData = Buffer.concat([recipe.subarray(0, 1536), tarEnd]);

async function imported(
  bytes: Buffer,
  overrides: Partial<ImportRequest> = {},
  name = 'backup.tar.gz',
): Promise<ImportReport> {
  const file = join(dir, name);
  await writeFile(file, bytes);
  const request: ImportRequest = {
    from: { file },
    ...{ key: undefined, name: undefined, mountPath: undefined, image: undefined },
    volumes: [{ volume: undefined, folder: undefined }],
    compression: { kind: 'zstd', level: 1 },
    provenance: { command: 'snapvol import' },
    ...overrides,
  };
  return importArchive(await tools(), request, signal);
}

async function manifestOf(key: string): Promise<VolumesManifest> {
  const loaded = await scratch.folder('loaded');
  await store.load({ key, exact: true }, loaded, signal);
  const { manifest } = await openBundle(loaded);
  if (manifest.kind !== 'volumes') throw new Error(`that is a ${manifest.kind}`);
  return manifest;
}

async function exported(overrides: Partial<ExportRequest>): Promise<Buffer> {
  const request: ExportRequest = {
    ...{ key: 'backup', volume: undefined, prefix: undefined, format: undefined },
    output: { kind: 'file', file: join(dir, 'out'), replace: false },
    ...overrides,
  };
  const { file } = await exportVolume(await tools(), request, signal);
  return readFile(file ?? '');
}

const choice = (volume: string, folder: string) => ({ volume, folder });

describe('import', () => {
  test('makes a snapshot named after the file, with what is known of the volume', async () => {
    const report = await imported(gzipSync(onlyData));
    expect(report).toMatchObject({
      ...{ key: 'backup-20261121-090000', store: 'memory', name: 'backup', leftOut: 0 },
      volumes: [
        { name: 'backup', folder: 'data', mountPath: '/data', entries: 2, sizeBytes: 2560 },
      ],
    });
    expect(messages.join('\n')).toContain('data is stripped from the paths; --strip PREFIX or');
    expect(await manifestOf(report.key)).toMatchObject({
      ...{ kind: 'volumes', key: report.key, name: 'backup', keyParts: [], architecture: null },
      ...{ writers: [], provenance: { command: 'snapvol import' } },
      createdAt: '2026-11-21T09:00:00.000Z',
      volumes: [
        {
          ...{ name: 'backup', archive: 'backup.tar.zst', mountPath: '/data', image: null },
          origin: { type: 'volume', volume: 'backup', driver: 'local', options: {}, labels: {} },
        },
      ],
    });
    await verifySnapshot(await tools(), report.key, signal);
  });

  test.each([
    ['shop.tar', 'shop', 'shop'],
    ['shop.tar.zst', 'shop', 'shop'],
    ['shop.tgz', 'shop', 'shop'],
    ['shop.v2.tar.gz', 'shop.v2', 'shop.v2'],
    ['my shop, old', 'my shop, old', 'my_shop__old'],
    ['b.tar.gz', 'b', 'volume-b'],
    ['\u65e5\u672c.tar', '\u65e5\u672c', 'volume'],
  ])('of %s has the name %s, and a volume %s', async (file, name, volume) => {
    expect(await imported(onlyData, {}, file)).toMatchObject({ name, volumes: [{ name: volume }] });
  });

  test('takes everything from the request', async () => {
    const report = await imported(onlyData, {
      ...{
        key: 'k',
        name: 'n',
        mountPath: '/var/lib/x',
        image: 'x:1',
        compression: { kind: 'none' },
      },
      volumes: [choice('v_1', '')],
    });
    expect(report).toMatchObject({ key: 'k', name: 'n' });
    const { volumes } = await manifestOf('k');
    expect(volumes).toMatchObject([
      {
        ...{ name: 'v_1', archive: 'v_1.tar', compression: 'none', mountPath: '/var/lib/x' },
        ...{ image: 'x:1', notes: [expect.stringContaining('no entry of the root folder')] },
      },
    ]);
  });

  test('splits an archive into volumes, and counts what is in none', async () => {
    const more = Buffer.concat([recipe.subarray(0, -1024), tarEntry('other', 'x'), tarEnd]);
    const volumes = [choice('v1', '/data'), choice('v2', 'config')] as const;
    const from = { stream: Readable.from([more.subarray(0, 700), more.subarray(700)]) };
    for (const given of [{}, { from, name: 'stream' }]) {
      const report = await imported(more, { volumes, ...given });
      expect(report).toMatchObject({
        leftOut: 1,
        volumes: [
          { name: 'v1', folder: 'data', mountPath: '/data', entries: 2 },
          { name: 'v2', folder: 'config', mountPath: '/config', entries: 2 },
        ],
      });
    }
    expect(messages.join('\n')).toMatch(/left out what is elsewhere in .*: 1 entries/);
  });

  test.each([
    ['a name that is none', { name: '' }],
    ['a name of the standard input', { from: { stream: Readable.from([]) } }],
    ['a key that cannot be', { key: 'a,b' }],
    ['a volume that cannot be', { volumes: [choice('a/b', 'data')] }],
    ['a volume of one letter', { volumes: [choice('a', 'data')] }],
    ['a folder that leads out', { volumes: [choice('v1', '../data')] }],
    ['a mount path that is relative', { mountPath: 'data' }],
    [
      'a mount path of several',
      { mountPath: '/x', volumes: [choice('v1', 'data'), choice('v2', 'config')] },
    ],
    ['one volume twice', { volumes: [choice('v1', 'data'), choice('v1', 'config')] }],
    ['one folder twice', { volumes: [choice('v1', 'data'), choice('v2', '/data/')] }],
    [
      'volumes without folders',
      { volumes: [choice('v1', 'data'), { volume: 'v2', folder: undefined }] },
    ],
    ['a folder that is not there', { volumes: [choice('v1', 'nowhere')] }],
  ] as [string, Partial<ImportRequest>][])('refuses %s', async (_name, overrides) => {
    await expect(imported(recipe, overrides)).rejects.toMatchObject({ code: 'invalid-settings' });
    expect(store.storage.size).toBe(0);
  });

  test('refuses a key that has a snapshot before it reads anything', async () => {
    await imported(onlyData, { key: 'k' });
    const taken = imported(Buffer.from('no archive'), { key: 'k' });
    await expect(taken).rejects.toMatchObject({ code: 'name-taken' });
  });

  test('saves nothing of an archive that is damaged in its last part', async () => {
    const volumes = [choice('v1', 'data'), choice('v2', 'config')] as const;
    const damaged = imported(recipe.subarray(0, -100), { volumes });
    await expect(damaged).rejects.toMatchObject({ code: 'copy-failed' });
    expect(store.storage.size).toBe(0);
  });
});

describe('export', () => {
  test('writes the volume of a database, below its data folder', async () => {
    const { archiver, scratchDir: run } = await tools();
    const source = { label: 'recipe', from: Readable.from([onlyData]) };
    const strip = { kind: 'folder', folder: 'data', others: [] } as const;
    const file = join(run, 'data.tar');
    const taken = await archiver.take(source, strip, file, { kind: 'none' }, signal);
    const { archiveBytes, sha256, tarBytes, entries, features, notes } = taken;
    const volume: DatabaseVolume = {
      ...{ name: 'data', archive: 'data.tar', mountPath: '/var/lib/db' },
      compression: 'none',
      ...{ archiveBytes, sha256, tarBytes, entries, features, notes, leftOut: [] },
    };
    await writeBundle(run, makeManifest({ key: 'db', volumes: [volume] }));
    await store.save('db', run, signal);
    const output = { kind: 'file', file: join(dir, 'db.tar'), replace: false } as const;
    const names = (await listTar(await exported({ key: 'db', output }))).map(({ name }) => name);
    expect(names).toEqual(['var/lib/db/', 'var/lib/db/file']);
  });

  test('writes what was imported, below where it was mounted', async () => {
    await imported(onlyData);
    expect(gunzipSync(await exported({}))).toEqual(onlyData);
    expect(await readdir(dir)).toEqual(['backup.tar.gz', 'out']);
  });

  test.each([
    ['x.tar', undefined, '1f8b', false],
    ['x.tgz', undefined, '1f8b', true],
    ['x', undefined, '1f8b', true],
    ['x.tar.zst', undefined, '28b5', true],
    ['x.tar', 'tar.zst', '28b5', true],
  ] as const)('to %s, format %s, begins with %s: %s', async (name, format, magic, begins) => {
    await imported(onlyData);
    const output = { kind: 'file', file: join(dir, name), replace: false } as const;
    const bytes = await exported({ output, format });
    expect(bytes.toString('hex', 0, 2) === magic).toBe(begins);
  });

  test('has the prefix that is asked for', async () => {
    await imported(onlyData);
    const output = { kind: 'file', file: join(dir, 'x.tar'), replace: true } as const;
    for (const [prefix, names] of [
      ['.', ['./', './file']],
      ['/a/b/', ['a/b/', 'a/b/file']],
    ] as const) {
      const tar = await exported({ prefix, output });
      expect((await listTar(tar)).map(({ name }) => name)).toEqual(names);
    }
    const upwards = exported({ prefix: 'a/../..' });
    await expect(upwards).rejects.toMatchObject({ code: 'invalid-settings' });
  });

  test('needs to know which of several volumes', async () => {
    await imported(recipe, { volumes: [choice('v1', 'data'), choice('v2', 'config')] });
    for (const volume of [undefined, 'v3']) {
      await expect(exported({ volume })).rejects.toMatchObject({
        ...{ code: 'invalid-settings', message: expect.stringContaining('v1, v2') },
      });
    }
    const output = { kind: 'file', file: join(dir, 'x.tar'), replace: true } as const;
    expect(await listTar(await exported({ volume: 'v2', output }))).toMatchObject([
      ...[{ name: 'config/' }, { name: 'config/file', content: 'settings' }],
    ]);
    expect(await readdir(dir)).toEqual(['backup.tar.gz', 'x.tar']);
  });

  test('of a damaged snapshot leaves no file, and gives a stream nothing', async () => {
    const { key } = await imported(onlyData);
    store.damage(key, 'backup.tar.zst', 60);
    await expect(exported({})).rejects.toMatchObject({ code: 'snapshot-corrupt' });
    expect(await readdir(dir)).toEqual(['backup.tar.gz']);
    const stream = new PassThrough();
    const written = exported({ output: { kind: 'stream', stream } });
    await expect(written).rejects.toMatchObject({ code: 'snapshot-corrupt' });
    stream.end();
    expect(await buffer(stream)).toEqual(Buffer.alloc(0));
  });

  test('of a snapshot that there is not, or over a file that there is, is refused', async () => {
    await expect(exported({})).rejects.toMatchObject({ code: 'snapshot-missing' });
    const { key } = await imported(onlyData);
    await writeFile(join(dir, 'out'), 'of somebody else');
    store.calls.length = 0;
    await expect(exported({})).rejects.toMatchObject({ code: 'name-taken' });
    expect(store.calls).not.toContain(`load ${key}`);
    expect(await readFile(join(dir, 'out'), 'utf8')).toBe('of somebody else');
  });
});
