import { expect, test } from '@jest/globals';

import { postgres } from '../../../src/engines/postgres.ts';
import { misfit, upgradeOf, type Target } from '../../../src/snapshot/compatibility.ts';
import { makeManifest } from '../../support/manifests.ts';

const target: Target = {
  engine: 'postgres',
  os: 'linux',
  architecture: 'amd64',
  image: 'postgres:17',
  imageVersion: '17',
  versionProblem: (data, image) => postgres.versionProblem(data, image),
  dataPath: '/var/lib/postgresql/data',
  volumes: { data: '/var/lib/postgresql/data' },
  credentials: { user: 'postgres', database: 'postgres', passwordHash: 'scrypt:0' },
};

test('the same everything fits', () => {
  expect(misfit(makeManifest(), target)).toBeUndefined();
});

test('an image that does not say its version is not refused for it', () => {
  expect(misfit(makeManifest(), { ...target, imageVersion: undefined })).toBeUndefined();
});

test.each<[Partial<Target>, string]>([
  [{ engine: 'mysql' }, 'engine changed: postgres -> mysql'],
  [{ architecture: 'arm64' }, 'architecture changed: amd64 -> arm64'],
  [{ os: 'windows' }, 'operating system changed: linux -> windows'],
  [{ imageVersion: '18' }, 'data version changed: 17 -> 18'],
  [{ dataPath: '/elsewhere' }, 'data path changed: /var/lib/postgresql/data -> /elsewhere'],
  [
    { volumes: { data: '/var/lib/postgresql/data', wal: '/wal' } },
    'volumes changed: data:/var/lib/postgresql/data -> data:/var/lib/postgresql/data wal:/wal',
  ],
  [{ credentials: { ...target.credentials, user: 'app' } }, 'user changed: postgres -> app'],
  [
    { credentials: { ...target.credentials, database: 'shop' } },
    'database changed: postgres -> shop',
  ],
  [{ credentials: { ...target.credentials, passwordHash: 'scrypt:1' } }, 'password changed'],
])('%j does not fit', (change, reason) => {
  expect(misfit(makeManifest(), { ...target, ...change })).toBe(reason);
});

test('data that does not say its version fits the same image only', () => {
  const { engine } = makeManifest();
  const manifest = makeManifest({ engine: { ...engine, dataVersion: null } });
  expect(misfit(manifest, target)).toBeUndefined();
  expect(misfit(manifest, { ...target, image: 'postgres:18' })).toBe(
    'image changed: postgres:17 -> postgres:18, and the data does not say its version',
  );
});

test('an upgrade that the server makes by itself is named', () => {
  expect(upgradeOf(makeManifest(), target)).toBeUndefined();
  expect(upgradeOf(makeManifest(), { imageVersion: '18' })).toBe(
    'data version 17, server version 18',
  );
  expect(upgradeOf(makeManifest(), { imageVersion: undefined })).toBeUndefined();
  const { engine } = makeManifest();
  const mariadb = makeManifest({ engine: { ...engine, dataVersion: '11.8.2' } });
  expect(upgradeOf(mariadb, { imageVersion: '11.8.9' })).toBeUndefined();
  expect(upgradeOf(mariadb, { imageVersion: '12.1.2' })).toContain('11.8.2');
});
