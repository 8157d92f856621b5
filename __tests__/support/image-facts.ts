import type { ImageFacts } from '../../src/runtime/runtime.ts';

/** What `docker image inspect` says of the official postgres:17, with overrides. */
export function makeImage(overrides: Partial<ImageFacts> = {}): ImageFacts {
  return {
    reference: 'postgres:17',
    id: `sha256:${'a'.repeat(64)}`,
    digest: `sha256:${'b'.repeat(64)}`,
    architecture: 'amd64',
    os: 'linux',
    env: { PGDATA: '/var/lib/postgresql/data', PG_MAJOR: '17' },
    volumes: ['/var/lib/postgresql/data'],
    ports: [5432],
    stopSignal: 'SIGINT',
    user: '',
    ...overrides,
  };
}

/** As the official postgres:18: a folder of the version below the declared volume. */
export const postgres18Image = makeImage({
  reference: 'postgres:18',
  env: { PGDATA: '/var/lib/postgresql/18/docker', PG_MAJOR: '18' },
  volumes: ['/var/lib/postgresql'],
});
