import { describe, expect, test } from '@jest/globals';

import { AppError } from '../../../src/errors.ts';
import type { KeptVolume, Manifest, VolumeOrigin } from '../../../src/snapshot/manifest.ts';
import {
  planTargets,
  type RestoreTarget,
  type RestoreWishes,
} from '../../../src/usecases/restore-targets.ts';
import { makeManifest, makeVolumesManifest } from '../../support/manifests.ts';

const compose = 'com.docker.compose.';

function fromVolume(volume: string, more: Partial<VolumeOrigin> = {}): VolumeOrigin {
  // A cast: a test overrides fields of this alternative only.
  return {
    type: 'volume',
    volume,
    driver: 'local',
    options: {},
    labels: {},
    ...more,
  } as VolumeOrigin;
}

const fromFolder = (folder: string): VolumeOrigin => ({ type: 'bind', folder });

/** A snapshot of volumes: name in the snapshot -> origin. */
function snapshotOf(origins: Readonly<Record<string, VolumeOrigin>>): Manifest {
  const [template] = makeVolumesManifest().volumes;
  return makeVolumesManifest({
    volumes: Object.entries(origins).map(([name, origin]) => ({
      ...(template as KeptVolume), // a cast: it has one
      ...{ name, origin, archive: `${name}.tar` },
    })),
  });
}

function plan(manifest: Manifest, wishes: Partial<RestoreWishes> = {}): RestoreTarget[] {
  return planTargets(manifest, { volume: undefined, rename: {}, includeBinds: false, ...wishes });
}

/** Where each volume goes: `NAME -> TYPE SOURCE`. */
function places(manifest: Manifest, wishes?: Partial<RestoreWishes>): string[] {
  return plan(manifest, wishes).map(
    ({ name, storage }) => `${name} -> ${storage.type} ${storage.source}`,
  );
}

/** What is wrong with the wishes, and what to do. */
function refusal(manifest: Manifest, wishes?: Partial<RestoreWishes>): string {
  try {
    plan(manifest, wishes);
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid-settings')
      return `${error.message} (${error.hint ?? ''})`;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('volumes go', () => {
  const two = snapshotOf({ a: fromVolume('shop_a'), b: fromVolume('shop_b') });

  test('where they came from when nothing is said', () => {
    expect(places(two)).toEqual(['a -> volume shop_a', 'b -> volume shop_b']);
  });

  test('where "rename" says, by the name in the snapshot or the one they came from', () => {
    expect(places(two, { rename: { a: 'x1', shop_b: '/srv/b' } })).toEqual([
      'a -> volume x1',
      'b -> bind /srv/b',
    ]);
    expect(places(two, { rename: { a: 'x1', shop_a: 'x2' } })[0]).toBe('a -> volume x1');
  });

  test('where "volume" says, when it is the only one', () => {
    expect(places(snapshotOf({ a: fromVolume('shop_a') }), { volume: 'x1' })).toEqual([
      'a -> volume x1',
    ]);
    expect(places(snapshotOf({ a: fromFolder('/srv/a') }), { volume: 'x1' })).toEqual([
      'a -> volume x1',
    ]);
    expect(refusal(two, { volume: 'x1' })).toBe(
      'the snapshot holds several volumes: "volume" names one (Use "rename", e.g. shop_a=x1)',
    );
  });

  test('nowhere when "rename" names one that the snapshot does not have', () => {
    expect(refusal(two, { rename: { c: 'x1' } })).toBe(
      'rename: the snapshot has no volume c (It has: a, b)',
    );
    for (const name of ['__proto__', 'constructor']) {
      const rename = Object.fromEntries([[name, 'x1']]);
      expect(refusal(two, { rename })).toContain(`no volume ${name}`);
    }
  });

  test('each to a place of its own', () => {
    expect(refusal(two, { rename: { a: 'shop_b' } })).toContain(
      'two volumes of the snapshot would go to shop_b',
    );
    const swapped = { rename: { a: 'shop_b', b: 'shop_a' } };
    expect(places(two, swapped)).toEqual(['a -> volume shop_b', 'b -> volume shop_a']);
  });

  test('and folders not into each other', () => {
    const inner = { rename: { a: '/srv/a', b: '/srv/a/inner' } };
    expect(refusal(two, inner)).toContain('/srv/a/inner lies in /srv/a');
    expect(places(two, { rename: { a: '/srv/a', b: '/srv/ab' } })).toHaveLength(2);
  });

  test('by names that the engine takes', () => {
    for (const name of ['x', '-x1', '_x1', 'x/y', 'x y', 'x:y', 'x'.repeat(202)]) {
      expect(refusal(two, { rename: { a: name } })).toContain(`"${name}" cannot be the name`);
    }
  });

  test('by their own names, whatever those mean to JavaScript', () => {
    const names = ['constructor', 'toString', 'hasOwnProperty'];
    const origins = Object.fromEntries(names.map((name) => [name, fromVolume(`${name}-1`)]));
    expect(places(snapshotOf(origins))).toEqual(names.map((name) => `${name} -> volume ${name}-1`));
  });
});

describe('the volumes of a database go', () => {
  const [data] = makeManifest().volumes;
  if (!data) throw new Error('it has one');
  const files = { ...data, name: 'files', archive: 'files.tar', mountPath: '/files' };
  const database = makeManifest({ volumes: [data, files] });

  test('where "volume" says, further ones beside it', () => {
    expect(places(database, { volume: 'x1' })).toEqual([
      'data -> volume x1',
      'files -> volume x1-files',
    ]);
    expect(places(database, { volume: '/srv/x' })).toEqual([
      'data -> bind /srv/x',
      'files -> bind /srv/x-files',
    ]);
    expect(places(database, { volume: 'x1', rename: { files: 'y1' } })).toEqual([
      'data -> volume x1',
      'files -> volume y1',
    ]);
    expect(plan(database, { volume: 'x1' })[1]).toEqual({
      name: 'files',
      storage: { type: 'volume', source: 'x1-files' },
      mountPath: '/files',
      image: 'postgres:17',
      labels: {},
      driver: undefined,
    });
  });

  test('nowhere without a name', () => {
    expect(refusal(database)).toContain('"volume" is missing');
    expect(refusal(database, { rename: { data: 'x1' } })).toContain('"volume" is missing');
    expect(places(database, { rename: { data: 'x1', files: 'y1' } })).toHaveLength(2);
  });
});

describe('folders of the host', () => {
  const folder = snapshotOf({ etc: fromFolder('/etc') });

  test('are not chosen by the manifest alone', () => {
    expect(refusal(folder)).toBe(
      'etc would be restored to /etc of the host ' +
        '(Allow it with "include-binds", or give it another place with "rename", e.g. etc=NAME)',
    );
    expect(places(folder, { includeBinds: true })).toEqual(['etc -> bind /etc']);
    expect(places(folder, { rename: { '/etc': '/srv/etc' } })).toEqual(['etc -> bind /srv/etc']);
  });

  test.each([
    { device: '/etc', type: 'none', o: 'bind' },
    { device: '/dev/sda1', type: 'ext4' },
    // mount(2) takes a relative path from where the engine runs: the root folder.
    { device: 'etc', type: 'none', o: 'bind' },
    // With this flag the type does not matter.
    { device: 'etc', type: 'tmpfs', o: 'size=1m,bind' },
    { device: ':/etc', type: 'nfs', o: 'rbind' },
    { device: 'overlay', type: 'overlay', o: 'lowerdir=/etc,upperdir=/etc,workdir=/tmp' },
  ])('hide behind options of volumes: %o', (options) => {
    const hidden = snapshotOf({ a: fromVolume('shop_a', { options }) });
    expect(refusal(hidden)).toContain('of the host');
    expect(plan(hidden, { includeBinds: true })[0]?.driver).toEqual({ driver: 'local', options });
    expect(plan(hidden, { rename: { a: 'x1' } })[0]?.driver).toBeUndefined();
  });

  test.each([
    { device: 'tmpfs', type: 'tmpfs', o: 'size=1m,uid=1000' },
    { device: ':/export', type: 'nfs', o: 'addr=10.0.0.1,rw' },
    { size: '1G' },
  ])('do not hide behind these: %o', (options) => {
    const plain = snapshotOf({ a: fromVolume('shop_a', { options }) });
    expect(plan(plain)[0]?.driver).toEqual({ driver: 'local', options });
  });
});

describe('labels of a volume that is made', () => {
  const labels = {
    [`${compose}project`]: 'shop',
    [`${compose}volume`]: 'data',
    [`${compose}version`]: '2.40.0',
    team: 'blue',
  };
  const shop = snapshotOf({ a: fromVolume('shop_data', { labels }) });
  const labelsAs = (volume: string) => plan(shop, { volume })[0]?.labels;

  test('are those that it had, under the same name', () => {
    expect(plan(shop)[0]?.labels).toEqual(labels);
    expect(labelsAs('shop_data')).toEqual(labels);
  });

  test('are those of another project of compose, when it is named so', () => {
    expect(labelsAs('try_2_data')).toEqual({
      team: 'blue',
      [`${compose}project`]: 'try_2',
      [`${compose}volume`]: 'data',
    });
  });

  test('are none of compose under any other name', () => {
    for (const name of ['other', 'x-data', 'data'])
      expect(labelsAs(name)).toEqual({ team: 'blue' });
    const plain = snapshotOf({ a: fromVolume('shop_data', { labels: { team: 'blue' } }) });
    expect(plan(plain, { volume: 'x_data' })[0]?.labels).toEqual({ team: 'blue' });
  });

  test('are never ours: by those, others would take it for what may be removed', () => {
    const forged = { 'dev.snapvol.run': '1', 'dev.snapvol.name': 'shop', team: 'blue' };
    const hostile = snapshotOf({ a: fromVolume('shop_data', { labels: forged }) });
    expect(plan(hostile)[0]?.labels).toEqual({ team: 'blue' });
  });
});
