import { describe, expect, test } from '@jest/globals';

import { postgres } from '../../../src/engines/postgres.ts';
import { dataState, endpoint } from '../../support/engines.ts';
import { makeImage, postgres18Image } from '../../support/image-facts.ts';

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
    expect(postgres.url({ ...endpoint, password: '' })).toContain('//a%40b@127.0.0.1');
  });

  test('asks on the own address, where the password counts, and has it in no argument', () => {
    const { command, env } = postgres.readiness(endpoint);
    expect(command.join(' ')).toContain('--host="$HOSTNAME"');
    expect(env).toMatchObject({ PGDATABASE: 'shop db', PGPASSWORD: 'p/w:d' });
    expect(command.join(' ')).not.toContain('p/w:d');
    // What is only shown keeps no server from stopping.
    expect(postgres.largestTables?.(endpoint).env).toMatchObject({
      ...env,
      PGOPTIONS: expect.stringMatching(/statement_timeout=2s/),
    });
  });

  test('finds in the answer of a restored server what it sorts otherwise', () => {
    const problem = (printed: string) => postgres.restoredProblem?.(printed);
    expect(problem('DO\n1')).toBeUndefined();
    expect(problem('NOTICE:  changed collation: database shop 2.36 -> none\nDO\n1')).toMatch(
      /indexes may be wrong: database shop 2\.36 -> none$/,
    );
    const many = ['a', 'b', 'c'].map((name) => `NOTICE:  changed collation: ${name}\n`).join('');
    expect(problem(many)).toMatch(/: a, and 2 more$/);
  });

  function control(state: number): Buffer {
    const bytes = Buffer.alloc(8192);
    bytes.writeInt32LE(state, 16);
    return bytes;
  }
  const clean = { PG_VERSION: '17\n', 'global/pg_control': control(1) };

  test('takes a data folder that was shut down', async () => {
    expect(await dataState(postgres, clean)).toEqual({
      version: '17',
      mark: 'pg_control: shut down',
    });
  });

  test.each<[string, Record<string, Buffer | string>]>([
    ['an empty volume', {}],
    ['a folder without pg_control', { PG_VERSION: '17\n' }],
  ])('finds nothing to save in %s', async (_, files) => {
    const state = await dataState(postgres, files);
    expect(state.unusable).toContain('empty snapshot');
  });

  test.each<[string, Record<string, Buffer | string>, RegExp]>([
    ['a server that was killed', { ...clean, 'global/pg_control': control(6) }, /"in production"/],
    ['a standby', { ...clean, 'global/pg_control': control(2) }, /"shut down in recovery"/],
    ['an unknown state', { ...clean, 'global/pg_control': control(77) }, /"unknown"/],
    ['a pid file', { ...clean, 'postmaster.pid': '1\n' }, /postmaster.pid/],
  ])('refuses %s', async (_, files, problem) => {
    expect((await dataState(postgres, files)).unclean).toMatch(problem);
  });

  test('takes data of its own major version only', () => {
    expect(postgres.versionProblem('17', '17')).toBeUndefined();
    expect(postgres.versionProblem('17', '18')).toBe('data version changed: 17 -> 18');
  });
});
