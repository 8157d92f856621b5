import { expect, test } from '@jest/globals';

import type { Engine } from '../../../src/engines/engine.ts';
import { mongodb } from '../../../src/engines/mongodb.ts';
import { postgres } from '../../../src/engines/postgres.ts';
import type { ContainerRuntime } from '../../../src/runtime/runtime.ts';
import { belowRoot, findWorthless } from '../../../src/usecases/worthless.ts';

const worthless = [{ pattern: 'pg_notify/*', reason: 'x' }];
const data = '/var/lib/postgresql/data';

test.each<[string, string, readonly string[], string, string | undefined]>([
  ['in the root of its volume', data, [data], data, 'pg_notify/*'],
  ['below it', '/v/18/docker', ['/v'], '/v', '18/docker/pg_notify/*'],
  ['in another volume', data, [data, '/extra'], '/extra', undefined],
  ['in a volume inside this one', '/v/18', ['/v', '/v/18'], '/v', undefined],
  ['in a folder with a name that is a pattern', '/v/a[b]', ['/v'], '/v', undefined],
  ['in a folder with a name that is no ASCII', '/v/\u00e4', ['/v'], '/v', undefined],
])('of a data folder %s', (_, dataPath, mountPaths, mountPath, pattern) => {
  const found = belowRoot(worthless, dataPath, mountPaths, mountPath);
  expect(found).toEqual(pattern === undefined ? [] : [{ pattern, reason: 'x' }]);
});

test('a data folder with other volumes in it is copied whole, and one of an engine that says nothing', async () => {
  const knowing: Engine = { ...postgres, worthless: () => Promise.resolve(worthless) };
  const find = (targets: readonly string[], engine = knowing) =>
    findWorthless(
      {} as ContainerRuntime, // not asked: this engine reads nothing
      { id: 'id', engine, dataPath: data },
      { mounts: targets.map((target) => ({ type: 'volume', source: 'v', target })) },
    );
  expect(await find([data, `${data}-2`])).toEqual(worthless);
  expect(await find([data, `${data}/pg_wal`])).toEqual([]);
  expect(await find([data], mongodb)).toEqual([]);
});
