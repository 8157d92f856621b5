import { describe, expect, test } from '@jest/globals';

import { chooseEngine, engineIds } from '../../../src/engines/index.ts';
import { presets } from '../../../src/engines/presets.ts';
import { dataState, endpoint } from '../../support/engines.ts';
import { makeImage } from '../../support/image-facts.ts';
import { officialImage } from '../../support/official-images.ts';

const nothingGiven = {
  dataPath: undefined,
  port: undefined,
  readyCommand: undefined,
  url: undefined,
};

describe.each(presets)('the preset $id', (preset) => {
  const image = officialImage(preset.id);
  const engine = chooseEngine(preset.id, undefined, nothingGiven);

  test('is found by its name, and by its image where that says what it is', () => {
    expect(engine.id).toBe(preset.id);
    expect(engine.defaultImage).toBe(preset.defaultImage);
    for (const name of preset.imageNames) {
      const byImage = chooseEngine(undefined, `registry.example/any/${name}:1`, nothingGiven);
      expect(byImage.id).toBe(preset.id);
    }
  });

  test('mounts its volume where the official image keeps its data', () => {
    const { mountPath } = engine.location(image, {});
    // A volume of the image above or below ours would hold the data instead of it.
    const nested = image.volumes.filter(
      (volume) => volume.startsWith(`${mountPath}/`) || mountPath.startsWith(`${volume}/`),
    );
    expect(nested).toEqual([]);
  });

  test('publishes a port that the official image exposes', () => {
    expect(image.ports).toContain(engine.port(image));
  });

  test('hands user, password and database to the image as they are', () => {
    const env = Object.values(engine.containerEnv(endpoint)).join('\n');
    expect(env).not.toMatch(/\{(user|password|database)\}/);
    const taken = Object.values(preset.env).join('\n');
    for (const name of ['user', 'password', 'database'] as const) {
      if (taken.includes(`{${name}}`)) expect(env).toContain(endpoint[name]);
    }
    expect(engine.credentialsProblem?.(preset.defaults)).toBeUndefined();
  });

  test('asks with the password in the environment only', () => {
    const { command, env } = engine.readiness(endpoint);
    expect(command.join(' ')).not.toContain(endpoint.password);
    expect(env).toEqual({
      SNAPVOL_USER: 'a@b',
      SNAPVOL_PASSWORD: 'p/w:d',
      SNAPVOL_DATABASE: 'shop db',
    });
  });

  test('has a URL without anything left open', () => {
    const url = engine.url(endpoint);
    expect(url).not.toMatch(/[{}]/);
    expect(url).toContain('127.0.0.1:5433');
  });

  test('has a clean stop that is never the code of a kill', () => {
    expect(engine.cleanExitCodes).toContain(0);
    expect(engine.cleanExitCodes).not.toContain(137);
  });
});

test('a file that a server takes away when it shuts down tells one that did not', async () => {
  const clickhouse = chooseEngine('clickhouse', undefined, nothingGiven);
  expect(await dataState(clickhouse, {})).toEqual({
    version: null,
    mark: 'no status file',
  });
  const killed = await dataState(clickhouse, { status: 'PID: 1' });
  expect(killed.unclean).toContain('did not shut down');
});

test('no two engines or presets have an id, or an image name, in common', () => {
  expect(new Set(engineIds).size).toBe(engineIds.length);
  const names = presets.flatMap(({ imageNames }) => imageNames);
  expect(new Set(names).size).toBe(names.length);
});

test('what the user tells goes before what a preset knows', () => {
  const engine = chooseEngine('clickhouse', undefined, {
    dataPath: '/elsewhere',
    port: 9000,
    readyCommand: 'true',
    url: 'clickhouse://{host}:{port}',
  });
  expect(engine.location(officialImage('clickhouse'), {}).dataPath).toBe('/elsewhere');
  expect(engine.port(officialImage('clickhouse'))).toBe(9000);
  expect(engine.readiness(endpoint).command).toEqual(['sh', '-c', 'true']);
  expect(engine.url(endpoint)).toBe('clickhouse://127.0.0.1:5433');
});

test('what reaches nobody is refused', () => {
  const etcd = chooseEngine('etcd', undefined, nothingGiven);
  expect(etcd.credentialsProblem?.({ user: 'a', password: 'b', database: '' })).toBe(
    'user, password: the image of etcd does not take them from its environment',
  );
});

test('what an image would not take is refused with its rule', () => {
  const neo4j = chooseEngine('neo4j', undefined, nothingGiven);
  expect(neo4j.credentialsProblem?.({ ...neo4j.defaults, password: 'a/b' })).toBe(
    'password: it must have 8 characters or more, and no "/"',
  );
  expect(neo4j.credentialsProblem?.({ ...neo4j.defaults, user: 'app' })).toBe(
    'user: it must be neo4j',
  );
});

test('an engine with knowledge of its own does not take what it would not look at', () => {
  expect(() => chooseEngine('postgres', undefined, { ...nothingGiven, port: 1, url: 'y' })).toThrow(
    'engine postgres does not take container-port, url',
  );
});

test('every engine is told where its data lies, and has it in the volume that the image declares for that', () => {
  for (const id of ['postgres', 'mariadb', 'mongodb', 'redis']) {
    const engine = chooseEngine(id, undefined, { ...nothingGiven, dataPath: '/opt/data/sub' });
    const locationWith = (...volumes: string[]) => engine.location(makeImage({ volumes }), {});
    expect(locationWith('/opt/data')).toEqual({
      mountPath: '/opt/data',
      dataPath: '/opt/data/sub',
    });
    expect(locationWith('/var/lib/mysql').mountPath).toBe('/opt/data/sub');
  }
});
