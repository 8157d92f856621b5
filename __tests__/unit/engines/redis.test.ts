import { describe, expect, test } from '@jest/globals';

import { readRdb } from '../../../src/engines/rdb.ts';
import { redis, valkey } from '../../../src/engines/redis.ts';
import { dataState, endpoint } from '../../support/engines.ts';
import { officialImage } from '../../support/official-images.ts';

/** A dump: magic, auxiliary fields, then what follows. */
function dump(version: string, rest: readonly number[], { field = 'redis-ver' } = {}): Buffer {
  const text = (value: string): Buffer => Buffer.from([value.length, ...Buffer.from(value)]);
  return Buffer.concat([
    Buffer.from('REDIS0011'),
    ...[Buffer.from([0xfa]), text(field), text(version)],
    // used-mem, as an integer of four bytes
    ...[Buffer.from([0xfa]), text('used-mem'), Buffer.from([0xc2, 1, 2, 3, 4])],
    Buffer.from(rest),
  ]);
}
const withKeys = [0xfe, 0x00, 0xfb, 0x01, 0x00];
const endOfFile = [0xff, 1, 2, 3, 4, 5, 6, 7, 8];

describe('the head of a dump', () => {
  test.each([
    ['redis-ver', '7.2.4'],
    ['valkey-ver', '8.1.1'],
  ])('tells the version of the server: %s', (field, version) => {
    expect(readRdb(dump(version, withKeys, { field }))).toEqual({ version, empty: false });
  });

  test('tells a dump without keys', () => {
    expect(readRdb(dump('7.2.4', endOfFile))).toEqual({ version: '7.2.4', empty: true });
  });

  test('of Valkey 9 has its own magic', () => {
    const bytes = dump('9.0.0', withKeys, { field: 'valkey-ver' });
    bytes.write('VALKEY080');
    expect(readRdb(bytes)).toEqual({ version: '9.0.0', empty: false });
  });

  test.each([['nothing'], ['RIDES0011'], ['']])('is not %j', (text) => {
    expect(readRdb(Buffer.from(text)).problem).toContain('damaged');
  });
});

describe.each([redis, valkey])('$id', (engine) => {
  const manifest = `file appendonly.aof.1.base.rdb seq 1 type b
file appendonly.aof.1.incr.aof seq 1 type i
`;
  const appendOnly = (base: Buffer, commands: string) => ({
    'appendonlydir/appendonly.aof.manifest': manifest,
    'appendonlydir/appendonly.aof.1.base.rdb': base,
    'appendonlydir/appendonly.aof.1.incr.aof': commands,
  });

  test.each<[string, Record<string, string | Buffer>, object]>([
    ['a dump', { 'dump.rdb': dump('7.2.4', withKeys) }, { mark: 'dump.rdb', empty: false }],
    ['an empty dump', { 'dump.rdb': dump('7.2.4', endOfFile) }, { mark: 'dump.rdb', empty: true }],
    [
      'append-only files',
      appendOnly(dump('7.2.4', endOfFile), '*1\r\n'),
      { mark: 'append-only files', empty: false },
    ],
    [
      'append-only files that were rewritten',
      appendOnly(dump('7.2.4', withKeys), ''),
      { mark: 'append-only files', empty: false },
    ],
    [
      'empty append-only files',
      appendOnly(dump('7.2.4', endOfFile), ''),
      { mark: 'append-only files', empty: true },
    ],
    [
      'both',
      { 'dump.rdb': dump('7.2.4', endOfFile), ...appendOnly(dump('7.2.4', withKeys), '') },
      { mark: 'dump.rdb and append-only files', empty: false },
    ],
  ])('reads %s', async (_, files, state) => {
    expect(await dataState(engine, files)).toEqual({ version: '7.2.4', ...state });
  });

  test('finds nothing to save in a volume without either, or with a damaged dump', async () => {
    expect((await dataState(engine, {})).unusable).toContain('empty snapshot');
    const damaged = { 'dump.rdb': 'not a dump' };
    expect((await dataState(engine, damaged)).unusable).toContain('damaged');
  });

  test('has one user, and databases with numbers', () => {
    const { defaults, credentialsProblem } = engine;
    expect(credentialsProblem?.(defaults)).toBeUndefined();
    expect(credentialsProblem?.({ ...defaults, database: '15' })).toBeUndefined();
    expect(credentialsProblem?.({ ...defaults, user: 'app' })).toContain('only the user "default"');
    expect(credentialsProblem?.({ ...defaults, database: 'shop' })).toContain('not a number');
  });

  test('writes a URL with a password, and one without', () => {
    const at = { ...endpoint, database: '2' };
    expect(engine.url(at)).toBe('redis://:p%2Fw%3Ad@127.0.0.1:5433/2');
    expect(engine.url({ ...at, password: '' })).toBe('redis://127.0.0.1:5433/2');
    expect(engine.clientEnv(at)).toMatchObject({
      REDIS_URL: engine.url(at),
      REDISCLI_AUTH: 'p/w:d',
    });
    expect(engine.clientEnv({ ...at, password: '' })).toEqual({
      REDIS_URL: 'redis://127.0.0.1:5433/2',
    });
  });

  test('tells the server the hash of the password, never the password', () => {
    expect(engine.credentialArgs?.(engine.defaults)).toEqual([]);
    const args = engine.credentialArgs?.(endpoint) ?? [];
    expect(args.slice(0, 3)).toEqual(['--user', 'default', 'on']);
    expect(args.join(' ')).not.toContain('p/w:d');
    // printf 'p/w:d' | sha256sum
    expect(args[3]).toMatch(/^#[0-9a-f]{64}$/);
  });

  test('refuses data of a newer server', () => {
    expect(engine.versionProblem('7.0.15', '7.2.4')).toBeUndefined();
    expect(engine.versionProblem('8.0.0', '7.2.4')).toMatch(/no downgrade/);
  });

  test('finds the version in the official image', () => {
    const image = officialImage(engine.id);
    expect(engine.imageVersion(image)).toMatch(/^\d+\.\d+(\.\d+)?$/);
    expect(engine.location(image, {})).toEqual({ mountPath: '/data', dataPath: '/data' });
  });
});
