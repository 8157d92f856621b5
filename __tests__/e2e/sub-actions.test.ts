import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { parse } from 'yaml';

import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { nothing, startJob, type Job, type SubAction } from '../support/runner.ts';
import { runningOf, startStack } from '../support/stack.ts';
import { useScratch } from '../support/store-bundles.ts';

// save/ and restore/ as a runner runs them, with GitHub's own cache client.

const scratch = useScratch();

let service: ResultsService;
beforeAll(async () => {
  service = await startResultsService();
});
afterAll(async () => {
  await service.close();
});

/** The inputs of the example in the README of a sub-action. */
function exampleOf(name: SubAction): Readonly<Record<string, string>> {
  const text = readFileSync(resolve(import.meta.dirname, '../..', name, 'README.md'), 'utf8');
  const yaml = /<!-- example -->\n+```yaml\n([^]*?)```/.exec(text)?.[1] ?? '';
  // A cast: what the example must look like is what this test is about.
  const [step] = parse(yaml) as { uses: string; with: Record<string, string> }[];
  expect(step?.uses).toBe(`snapvol/snapvol/${name}@v1`);
  return step?.with ?? {};
}

describe('save/ and restore/', () => {
  test('do what their READMEs show', async () => {
    await using stack = await startStack('shop');
    await using job = await startJob({ env: service.env });
    const saved = await job.subStep('save', exampleOf('save'));
    expect(saved).toMatchObject({ exitCode: 0, errors: [], outputs: { saved: 'true' } });
    await docker('rm', '--force', '--volumes', ...stack.containers);
    await docker('volume', 'rm', ...Object.values(stack.volumes));
    const restored = await job.subStep('restore', exampleOf('restore'));
    expect(restored).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(restored.outputs['cache-hit']).toBe('true');
    const names = Object.values(stack.volumes).sort();
    const shown = names.map((name) => expect.stringContaining(name));
    for (const { summary } of [saved, restored]) {
      expect(summary.match(/<th align="left">Volume<.*/g)?.sort()).toEqual(shown);
      expect(summary).toMatch(/>(Stop, c|C)opy.*<.* MB in .* MB\/s<[^]*>Time<.*\d s</);
    }
    const volumes = JSON.parse(restored.outputs['volumes'] ?? '') as { volume: string }[];
    expect(volumes.map(({ volume }) => volume).sort()).toEqual(Object.values(stack.volumes).sort());
  });

  test('carry a compose project from one job to the next through the cache', async () => {
    await using stack = await startStack();
    const { project, volumes } = stack;
    const key = `${project}-1`;
    const event = { name: 'push', payload: { repository: { private: false } } };
    await using first = await startJob({ env: service.env, event });
    const saved = await first.subStep('save', { key, 'compose-project': project });
    expect(saved).toMatchObject({ exitCode: 0, errors: [] });
    expect(saved.warnings.filter((line) => line.includes('anybody can read'))).toHaveLength(1);
    expect(saved.outputs).toMatchObject({ saved: 'true', reason: '', 'cache-primary-key': key });
    expect(saved.outputs['snapshot-digest']).toMatch(/^[0-9a-f]{64}$/);
    const sources = JSON.parse(saved.outputs['volumes'] ?? '') as { source: string }[];
    expect(sources.map(({ source }) => source).sort()).toEqual(Object.values(volumes).sort());
    expect(await runningOf(stack.containers)).toHaveLength(3);

    // A key that is there is no reason to worry, nor to stop anything.
    const again = await first.subStep('save', { key, 'compose-project': project });
    expect(again).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(again.outputs).toMatchObject({ saved: 'false', reason: `${key} is there already` });
    expect(again.summary).toContain('not saved: <code>');

    await docker('rm', '--force', '--volumes', ...stack.containers);
    await docker('volume', 'rm', ...Object.values(volumes));
    await using second = await startJob({ env: service.env });
    const looked = await second.subStep('restore', { key, 'lookup-only': 'true' });
    expect(looked.outputs).toMatchObject({ 'cache-hit': 'true', volumes: '[]' });
    expect(looked.summary).toContain('<td>hit, only looked up</td>');
    const prefixed = await second.subStep('restore', {
      ...{ key: `${project}-2`, 'restore-keys': `${project}-` },
    });
    expect(prefixed).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(prefixed.outputs).toMatchObject({
      ...{ 'cache-hit': 'false', 'cache-primary-key': `${project}-2`, 'cache-matched-key': key },
      'snapshot-digest': saved.outputs['snapshot-digest'],
    });
    const labels = await docker('volume', 'inspect', '--format', '{{json .Labels}}', volumes.cache);
    expect(JSON.parse(labels)).toMatchObject({ 'com.docker.compose.project': project });

    const taken = await second.subStep('restore', { key });
    expect(taken.exitCode).toBe(1);
    expect(taken.errors.join()).toContain('exists and is not empty');
    const replaced = await second.subStep('restore', { key, overwrite: 'true' });
    expect(replaced).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(replaced.outputs['cache-hit']).toBe('true');
    expect((await first.leftovers()).files).toEqual([]);
    expect((await second.leftovers()).files).toEqual([]);
  });

  test('say what is wrong: a miss, a store that refuses, settings that cannot be', async () => {
    const name = `lonely-${process.pid}`;
    await docker('volume', 'create', name);
    try {
      const store = `file:${await scratch.folder('store')}`;
      await using job = await startJob();
      const miss = await job.subStep('restore', { key: 'none', store });
      expect(miss).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
      expect(miss.outputs).toMatchObject({ 'cache-hit': 'false', 'cache-matched-key': '' });
      const failed = await job.subStep('restore', { key: 'none', store, 'fail-on-miss': 'true' });
      expect(failed).toMatchObject({ exitCode: 1 });
      expect(failed.errors.join()).toContain('no snapshot to restore');

      const save = { key: 'k', volumes: name, store };
      const empty = await job.subStep('save', save);
      expect(empty).toMatchObject({ exitCode: 0, errors: [] });
      expect(empty.warnings.join()).toContain('it would be an empty snapshot');
      expect(empty.outputs['saved']).toBe('false');
      const strict = await job.subStep('save', { ...save, 'fail-on-save-error': 'true' });
      expect(strict.exitCode).toBe(1);
      const missing = await job.subStep('save', { ...save, volumes: 'no-such-volume' });
      expect(missing.errors.join()).toContain('there is no volume named no-such-volume');
      const overwrite = { ...save, store: 'actions-cache', overwrite: 'true' };
      expect((await job.subStep('save', overwrite)).errors.join()).toContain('cannot overwrite');
      const nothing = await job.subStep('save', { key: 'k', store });
      expect(nothing.errors.join()).toContain('nothing to save');
    } finally {
      await docker('volume', 'rm', name);
    }
  });

  test('a database that was started in the job is saved by its name, and a snapshot overwritten', async () => {
    const store = `file:${await scratch.folder('store')}`;
    await using job = await startJob();
    const started = await job.step({
      image: testImage('redis:7'),
      name: 'c',
      port: '0',
      store,
      save: 'false',
    });
    expect(started.exitCode).toBe(0);
    const container = started.outputs['container'] ?? '';
    await docker('exec', container, 'redis-cli', 'set', 'a', '1');
    const saved = await job.subStep('save', { key: 'k', name: 'c', store });
    expect(saved).toMatchObject({ exitCode: 0, errors: [], outputs: { saved: 'true' } });
    await docker('exec', container, 'redis-cli', 'set', 'b', '2');
    const again = await job.subStep('save', { key: 'k', name: 'c', store, overwrite: 'true' });
    expect(again).toMatchObject({ exitCode: 0, errors: [], outputs: { saved: 'true' } });
    expect(again.outputs['snapshot-digest']).not.toBe(saved.outputs['snapshot-digest']);
    await started.post();
    const hit = await job.step({
      image: testImage('redis:7'),
      name: 'c',
      port: '0',
      store,
      key: 'k',
    });
    expect(hit.outputs['cache-hit']).toBe('true');
    expect(await docker('exec', hit.outputs['container'] ?? '', 'redis-cli', 'get', 'b')).toBe('2');
    await hit.post();
  });

  test('two jobs of a matrix on one host do not see each other', async () => {
    const store = `file:${await scratch.folder('store')}`;
    const runId = String(process.pid);
    await using first = await startJob({ runId });
    await using second = await startJob({ runId });
    const image = testImage('redis:7');
    const startAndSave = async (job: Job, value: string) => {
      const started = await job.step({ image, port: '0', store, key: value, save: 'false' });
      expect(started).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
      const { container = '', volume } = started.outputs;
      await docker('exec', container, 'redis-cli', 'set', 'a', value);
      const saved = await job.subStep('save', { key: value, name: 'redis', store });
      expect(saved).toMatchObject({ exitCode: 0, errors: [], outputs: { saved: 'true' } });
      expect(JSON.parse(saved.outputs['volumes'] ?? '')).toEqual([{ source: volume }]);
      return { ...started, container };
    };
    const [one, two] = await Promise.all([startAndSave(first, 'one'), startAndSave(second, 'two')]);
    expect(await one.post()).toMatchObject({ exitCode: 0, warnings: [] });
    expect(await first.leftovers()).toEqual(nothing);
    expect(await docker('exec', two.container, 'redis-cli', 'get', 'a')).toBe('two');
    expect(await two.post()).toMatchObject({ exitCode: 0, warnings: [] });
    expect(await second.leftovers()).toEqual(nothing);
  });
});
