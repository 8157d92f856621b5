import { describe, expect, test } from '@jest/globals';

import { toJson } from '../../../src/cli/output.ts';
import * as views from '../../../src/cli/output-snapshots.ts';
import type { SnapshotDetails } from '../../../src/usecases/stored.ts';
import { makeManifest, makeVolumesManifest } from '../../support/manifests.ts';

const ageSeconds = 3 * 3600;

describe('the view of list', () => {
  test('is a table, with question marks where a manifest cannot be read, and the sum', () => {
    const known = { name: 'shop', engine: 'postgres', image: 'postgres:17', architecture: 'amd64' };
    const unknown = {
      name: undefined,
      engine: undefined,
      image: undefined,
      architecture: undefined,
    };
    const createdAt = '2026-11-21T09:00:00.123Z';
    const snapshots = [
      { key: 'a', createdAt, ageSeconds, sizeBytes: 1_700_000, ...known, locked: false },
      {
        key: 'longer',
        createdAt,
        ageSeconds: 12 * 24 * 3600,
        sizeBytes: 5,
        ...unknown,
        locked: true,
      },
      { key: 'odd', createdAt, ageSeconds, sizeBytes: 5, ...unknown, locked: false },
    ];
    const view = views.listView(snapshots);
    expect(view.text.split('\n')).toEqual([
      'NAME         KEY     AGE   SIZE    ENGINE    IMAGE        ARCHITECTURE  CREATED',
      'shop         a       3 h   1.7 MB  postgres  postgres:17  amd64         2026-11-21T09:00:00Z',
      '(encrypted)  longer  12 d  5 B     ?         ?            ?             2026-11-21T09:00:00Z',
      '?            odd     3 h   5 B     ?         ?            ?             2026-11-21T09:00:00Z',
      '3 snapshots, 1.7 MB',
    ]);
    expect(JSON.parse(toJson(view.json))).toMatchObject({
      snapshots: [
        { key: 'a', name: 'shop', sizeBytes: 1_700_000, ageSeconds },
        { key: 'longer', name: null, engine: null, locked: true },
        { key: 'odd', name: null, engine: null, locked: false },
      ],
    });
  });

  test('of an empty store is its sum', () => {
    expect(views.listView([]).text).toBe('0 snapshots, 0 B');
  });
});

describe('the view of inspect', () => {
  const detailsOf = (manifest: SnapshotDetails['manifest']): SnapshotDetails => ({
    ...{ key: manifest.key, store: 'file:/s', digest: 'd', ageSeconds, sizeBytes: 5, manifest },
  });

  test('shows what identifies a database, and the whole manifest in JSON', () => {
    const details = detailsOf(makeManifest());
    const view = views.inspectView(details);
    const archive = makeManifest().volumes[0]?.sha256 ?? '';
    expect(view.text.split('\n')).toEqual([
      'name          shop',
      'key           snapvol-postgres-amd64-0',
      'store         file:/s',
      'digest        sha256:d',
      'created       2026-11-21T09:00:00Z, 3 h ago, by snapvol 0.1.0',
      'holds         1 volume, 5 B in archives',
      'made on       amd64',
      'engine        postgres 17',
      `image         postgres:17 (linux/amd64) sha256:${'a'.repeat(64)}`,
      'consistency   stop, exit code 0, pg_control: shut down',
      'login         postgres @ postgres',
      'volume        data',
      '  mounted at  /var/lib/postgresql/data',
      '  archive     data.tar.zst, 1 entry, 1.0 KB in 5 B',
      `  sha256      ${archive}`,
      'part image    postgres:17',
    ]);
    expect(view.json).toEqual(details);
  });

  test('shows where volumes came from, and who wrote to them', () => {
    const { volumes, writers } = makeVolumesManifest();
    const [volume] = volumes;
    const [writer] = writers;
    if (!volume || !writer) throw new Error('the manifest has one of each');
    const manifest = makeVolumesManifest({
      architecture: null,
      writers: [
        writer,
        {
          ...writer,
          ...{ container: 'shop-web-1', engine: 'generic', dataVersion: null },
          consistency: { method: 'pause', exitCode: null, mark: '' },
        },
      ],
      volumes: [
        volume,
        {
          ...volume,
          ...{ name: 'uploads', archive: 'uploads.tar.zst', mountPath: null, image: null },
          origin: { type: 'bind', folder: '/srv/uploads' },
          notes: ['2 sockets were left out'],
          leftOut: ['a*', 'b?', 'c'].map((pattern, i) => ({
            pattern,
            reason: i < 2 ? 'logs' : 'ids',
          })),
        },
      ],
    });
    const image = `postgres:17 (linux/amd64) sha256:${'a'.repeat(64)}`;
    const sizes = '1 entry, 1.0 KB in 5 B';
    expect(views.inspectView(detailsOf(manifest)).text.split('\n').slice(5)).toEqual([
      'holds          2 volumes, 5 B in archives',
      'made on        an architecture that nobody knows',
      'written by     container shop-db-1',
      '  engine       postgres 17',
      `  image        ${image}`,
      '  consistency  stop, exit code 0, pg_control: shut down',
      'written by     container shop-web-1',
      '  engine       generic',
      `  image        ${image}`,
      '  consistency  pause',
      'volume         shop_data',
      '  came from    volume shop_data (driver local)',
      '  mounted at   /var/lib/postgresql/data',
      '  used by      postgres:17',
      `  archive      data.tar.zst, ${sizes}`,
      `  sha256       ${volume.sha256}`,
      'volume         uploads',
      '  came from    folder /srv/uploads',
      '  mounted at   nowhere',
      `  archive      uploads.tar.zst, ${sizes}`,
      `  sha256       ${volume.sha256}`,
      '  note         2 sockets were left out',
      '  left out     logs, ids',
    ]);
    const alone = views.inspectView(detailsOf(makeVolumesManifest({ writers: [] })));
    expect(alone.text).toContain('written by    no container');
  });
});

describe('the view of verify', () => {
  const archives = [{ archive: 'data.tar.zst', sha256: 's' }];
  const seconds = { total: 2 };

  test('of one snapshot is a sentence', () => {
    const report = { key: 'a', store: 'file:/s', digest: 'd', sizeBytes: 5, archives, seconds };
    expect(views.verifyView(report)).toEqual({
      text: 'a is whole: 1 archive, 5 B read in 2 s',
      json: report,
    });
  });

  test('of many says of each how it is, and fails with the worst', () => {
    const whole = { state: 'whole', key: 'long', digest: 'd', sizeBytes: 5, archives } as const;
    const unverified = {
      state: 'unverified',
      key: 'u',
      problem: { code: 'store-unavailable', message: 'no room' },
    } as const;
    const damaged = {
      state: 'damaged',
      key: 'd',
      problem: { code: 'snapshot-corrupt', message: 'data.tar.zst is damaged' },
    } as const;
    const gone = { state: 'gone', key: 'g' } as const;
    const snapshots = [unverified, whole, damaged, gone];
    const view = views.verifyAllView({ store: 'file:/s', snapshots, seconds });
    expect(view.text.split('\n')).toEqual([
      'unverified  u     no room',
      'whole       long  5 B',
      'damaged     d     data.tar.zst is damaged',
      'gone        g     removed by others in the meantime',
      '1 whole, 1 damaged, 1 unverified, 1 gone: 5 B read in 2 s',
    ]);
    expect(view.failure).toBe('snapshot-corrupt');
    expect(JSON.parse(toJson(view.json))).toMatchObject({
      store: 'file:/s',
      snapshots: [
        { key: 'u', state: 'unverified', digest: null, problem: { code: 'store-unavailable' } },
        { key: 'long', state: 'whole', digest: 'd', sizeBytes: 5, archives, problem: null },
        { key: 'd', state: 'damaged', archives: [] },
        { key: 'g', state: 'gone', sizeBytes: null },
      ],
    });
    const failureOf = (...some: (typeof snapshots)[number][]): unknown =>
      views.verifyAllView({ store: 's', snapshots: some, seconds }).failure;
    expect([failureOf(whole, gone), failureOf(unverified)]).toEqual([
      undefined,
      'store-unavailable',
    ]);
  });

  test('of no snapshot says so', () => {
    const view = views.verifyAllView({ store: 's', snapshots: [], seconds });
    expect(view.text).toBe('no snapshots: 0 B read in 2 s');
  });
});
