import type { DatabaseManifest, VolumesManifest } from '../../src/snapshot/manifest.ts';

/** A complete valid manifest of one Postgres volume, with overrides. */
export function makeManifest(overrides: Partial<DatabaseManifest> = {}): DatabaseManifest {
  return {
    format: 1,
    kind: 'database',
    name: 'shop',
    key: 'snapvol-postgres-amd64-0',
    keyParts: [{ name: 'image', value: 'postgres:17' }],
    createdAt: '2026-11-21T09:00:00.000Z',
    createdBy: 'snapvol 0.1.0',
    engine: {
      id: 'postgres',
      dataVersion: '17',
      dataPath: '/var/lib/postgresql/data',
      items: null,
      largestTables: [],
    },
    image: {
      reference: 'postgres:17',
      id: `sha256:${'a'.repeat(64)}`,
      digest: null,
      os: 'linux',
      architecture: 'amd64',
    },
    credentials: { user: 'postgres', database: 'postgres', passwordHash: 'scrypt:0' },
    consistency: { method: 'stop', exitCode: 0, mark: 'pg_control: shut down' },
    volumes: [
      {
        name: 'data',
        mountPath: '/var/lib/postgresql/data',
        archive: 'data.tar.zst',
        compression: 'zstd',
        archiveBytes: 5,
        sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', // of "hello"
        tarBytes: 1024,
        entries: 1,
        features: ['pax'],
        notes: [],
        leftOut: [],
      },
    ],
    provenance: {},
    initSeconds: 0.5,
    seedSeconds: 1.5,
    ...overrides,
  };
}

/** A complete valid manifest of one volume that was used by a Postgres, with overrides. */
export function makeVolumesManifest(overrides: Partial<VolumesManifest> = {}): VolumesManifest {
  const { format, name, createdAt, createdBy, image, consistency, provenance, volumes } =
    makeManifest();
  return {
    ...{ format, name, createdAt, createdBy, provenance, kind: 'volumes' },
    key: 'shop-20261121-090000',
    keyParts: [],
    architecture: 'amd64',
    writers: [
      { container: 'shop-db-1', engine: 'postgres', dataVersion: '17', image, consistency },
    ],
    volumes: volumes.map((volume) => ({
      ...volume,
      name: 'shop_data',
      image: image.reference,
      origin: {
        type: 'volume',
        volume: 'shop_data',
        driver: 'local',
        options: {},
        labels: { 'com.docker.compose.project': 'shop' },
      },
    })),
    ...overrides,
  };
}
