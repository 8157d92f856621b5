import { expect, test } from '@jest/globals';

import { mongodb } from '../../../src/engines/mongodb.ts';
import { dataState, endpoint } from '../../support/engines.ts';
import { officialImage } from '../../support/official-images.ts';

test('asks on the address of the container, where the server for init files does not listen', () => {
  const { command, env } = mongodb.readiness(endpoint);
  expect(command.join(' ')).toContain('--host "$HOSTNAME"');
  expect(command.join(' ')).not.toContain('p/w:d');
  expect(env).toEqual({ SNAPVOL_USER: 'a@b', SNAPVOL_PASSWORD: 'p/w:d' });
});

test('writes a URL whose user is one of the database "admin"', () => {
  const url = 'mongodb://a%40b:p%2Fw%3Ad@127.0.0.1:5433/shop%20db?authSource=admin';
  expect(mongodb.url(endpoint)).toBe(url);
  expect(mongodb.clientEnv(endpoint)).toEqual({ MONGODB_URI: url });
});

test('keeps its data in a volume that the official image declares', () => {
  const image = officialImage('mongodb');
  const { dataPath, mountPath } = mongodb.location(image, {});
  expect(dataPath).toBe(mountPath);
  expect(image.volumes).toContain(mountPath);
  expect(image.ports).toContain(mongodb.port(image));
});

test('tells by the lock file how the server ended', async () => {
  const files = { 'WiredTiger.wt': 'x', 'mongod.lock': '' };
  expect(await dataState(mongodb, files)).toEqual({
    version: null,
    mark: 'mongod.lock: empty',
  });
  const killed = await dataState(mongodb, { ...files, 'mongod.lock': '1\n' });
  expect(killed.unclean).toContain('was not shut down');
  expect((await dataState(mongodb, {})).unusable).toContain('empty snapshot');
});
