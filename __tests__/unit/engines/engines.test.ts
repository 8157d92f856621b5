import { describe, expect, test } from '@jest/globals';

import { genericEngine } from '../../../src/engines/generic.ts';
import { postgres } from '../../../src/engines/postgres.ts';
import { makeImage, postgres18Image } from '../../support/image-facts.ts';

const endpoint = {
  host: '127.0.0.1',
  port: 5433,
  user: 'a@b',
  password: 'p/w:d',
  database: 'shop db',
};

describe('postgres', () => {
  test('finds the data of images up to 17 in their volume', () => {
    expect(postgres.location(makeImage(), {})).toEqual({
      mountPath: '/var/lib/postgresql/data',
      dataPath: '/var/lib/postgresql/data',
    });
  });

  test('finds the data of 18 below its volume', () => {
    expect(postgres.location(postgres18Image, {})).toEqual({
      mountPath: '/var/lib/postgresql',
      dataPath: '/var/lib/postgresql/18/docker',
    });
  });

  test('follows a PGDATA of the user', () => {
    expect(postgres.location(makeImage(), { PGDATA: '/var/lib/postgresql/data/sub' })).toEqual({
      mountPath: '/var/lib/postgresql/data',
      dataPath: '/var/lib/postgresql/data/sub',
    });
    expect(postgres.location(makeImage(), { PGDATA: '/elsewhere' }).mountPath).toBe('/elsewhere');
  });

  test('does not take a folder for another that begins with its name', () => {
    const image = makeImage({ volumes: ['/var/lib/postgresql/dat'] });
    expect(postgres.location(image, {}).mountPath).toBe('/var/lib/postgresql/data');
  });

  test('writes a URL that survives odd characters', () => {
    const url = new URL(postgres.url(endpoint));
    expect(decodeURIComponent(url.username)).toBe('a@b');
    expect(decodeURIComponent(url.password)).toBe('p/w:d');
    expect(decodeURIComponent(url.pathname)).toBe('/shop db');
    expect(url.port).toBe('5433');
  });

  test('asks over TCP in the wanted database, with the password in no argument', () => {
    const { command, env } = postgres.readiness(endpoint);
    expect(command).toContain('--host=127.0.0.1');
    expect(command).toContain('--dbname=shop db');
    expect(command.join(' ')).not.toContain('p/w:d');
    expect(env['PGPASSWORD']).toBe('p/w:d');
  });

  /** A data folder of these files. */
  function folder(files: Record<string, Buffer | string>) {
    return (path: string) =>
      Promise.resolve(files[path] === undefined ? undefined : Buffer.from(files[path]));
  }
  function control(state: number): Buffer {
    const bytes = Buffer.alloc(8192);
    bytes.writeInt32LE(state, 16);
    return bytes;
  }
  const clean = { PG_VERSION: '17\n', 'global/pg_control': control(1) };

  test('takes a data folder that was shut down', async () => {
    expect(await postgres.dataState(folder(clean))).toEqual({
      version: '17',
      mark: 'pg_control: shut down',
    });
  });

  test.each<[string, Record<string, Buffer | string>, RegExp]>([
    ['an empty volume', {}, /empty snapshot/],
    ['a folder without pg_control', { PG_VERSION: '17\n' }, /empty snapshot/],
    ['a server that was killed', { ...clean, 'global/pg_control': control(6) }, /"in production"/],
    ['a standby', { ...clean, 'global/pg_control': control(2) }, /"shut down in recovery"/],
    ['an unknown state', { ...clean, 'global/pg_control': control(77) }, /"unknown"/],
    ['a pid file', { ...clean, 'postmaster.pid': '1\n' }, /postmaster.pid/],
  ])('refuses %s', async (_, files, problem) => {
    expect((await postgres.dataState(folder(files))).problem).toMatch(problem);
  });
});

describe('generic', () => {
  const options = { dataPath: undefined, port: undefined, readyCommand: 'true', url: undefined };

  test('takes the only volume and the only port of an image', () => {
    const image = makeImage({ volumes: ['/data'], ports: [6379] });
    const engine = genericEngine(options);
    expect(engine.location(image, {})).toEqual({ mountPath: '/data', dataPath: '/data' });
    expect(engine.port(image)).toBe(6379);
  });

  test.each([[[]], [['/a', '/b']]])(
    'asks for data-path when an image declares %j',
    (volumes: string[]) => {
      expect(() => genericEngine(options).location(makeImage({ volumes }), {})).toThrow(
        expect.objectContaining({
          code: 'invalid-settings',
          hint: expect.stringContaining('data-path'),
        }),
      );
    },
  );

  test('fills its URL template, encoded', () => {
    const engine = genericEngine({
      ...options,
      url: 'x://{user}:{password}@{host}:{port}/{database}?a={nope}',
    });
    expect(engine.url(endpoint)).toBe('x://a%40b:p%2Fw%3Ad@127.0.0.1:5433/shop%20db?a={nope}');
  });
});
