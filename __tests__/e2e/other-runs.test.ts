import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

import { runCli, useNames } from '../support/cli.ts';
import { testImage } from '../support/images.ts';
import { checksum, rowCount, query, seedScript } from '../support/postgres.ts';
import {
  startResultsService,
  type ResultsService,
  type WorkflowRun,
} from '../support/results-service/index.ts';
import { startJob, type Inputs, type Job, type JobOptions } from '../support/runner.ts';

let service: ResultsService;
beforeAll(async () => {
  service = await startResultsService();
});
afterEach(() => {
  service.reset();
});
afterAll(async () => {
  await service.close();
});

/** A job of this run, with `permissions: actions: read`. */
function jobOf(run: WorkflowRun, options: JobOptions = {}): Promise<Job> {
  return startJob({
    env: { ...service.env, ...run.env },
    runId: String(run.id),
    token: service.restToken,
    ...options,
  });
}

const newName = useNames('other-runs');

const inputs: Inputs = { image: testImage('postgres:17'), seed: seedScript, port: '0' };

test('a database that one run has seeded is restored by later ones, from the newest success', async () => {
  const store = 'artifact:latest@main/nightly.yml';
  const yesterday = service.startRun({ workflow: 'nightly.yml' });
  await using first = await jobOf(yesterday);
  const seeded = await first.step({ ...inputs, store, 'retention-days': '5' });
  expect(seeded).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
  const key = seeded.outputs['cache-primary-key'] ?? '';
  expect(seeded.outputs).toMatchObject({ 'cache-hit': 'false' });
  expect(seeded.log).toContain(`saved ${key}`);
  const sum = await checksum(seeded.outputs['container'] ?? '');
  await seeded.post();
  const [artifact] = yesterday.artifacts.artifacts();
  const days = (Date.parse(artifact?.expiresAt ?? '') - Date.now()) / (24 * 60 * 60 * 1000);
  expect(Math.round(days)).toBe(5);
  service.conclude(yesterday, 'success');

  // It has the name as well, and failed: what it holds is not there, and would fail the restore.
  const failed = service.startRun({ workflow: 'nightly.yml' });
  failed.artifacts.add(artifact?.name ?? '');
  service.conclude(failed, 'failure');

  const today = service.startRun({ branch: 'feature' });
  for (const from of [store, 'artifact:latest@main', `artifact:run=${yesterday.id}`]) {
    await using job = await jobOf(today);
    const restored = await job.step({ ...inputs, store: from, 'fail-on-miss': 'true' });
    expect(restored).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(restored.outputs).toMatchObject({
      'cache-hit': 'true',
      'cache-matched-key': key,
      'snapshot-digest': seeded.outputs['snapshot-digest'],
    });
    expect(restored.log).toContain(`Look for a snapshot (${from})`);
    expect(restored.log).toContain(`run ${yesterday.id} has ${key}`);
    const { container = '' } = restored.outputs;
    expect(await checksum(container)).toBe(sum);
    expect(await query(container, 'select count(*) from item')).toBe(String(rowCount));
    // The runner masks its own token, too; here nobody does but the action.
    expect(restored.masks).toContain(service.restToken);
    expect(restored.log + restored.summary + JSON.stringify(restored.state)).not.toContain(
      service.restToken,
    );
    await restored.post();
  }
  expect(today.artifacts.artifacts()).toEqual([]);
});

test('a snapshot of a run can be looked at from anywhere, with a token', async () => {
  const run = service.startRun();
  await using job = await jobOf(run);
  const seeded = await job.step({ ...inputs, store: 'artifact' });
  const key = seeded.outputs['cache-primary-key'] ?? '';
  service.conclude(run, 'success');
  const { GITHUB_API_URL = '', GITHUB_REPOSITORY = '' } = service.env;
  for (const store of [`artifact:run=${run.id}`, 'artifact:latest@main']) {
    const verify = ['verify', key, '--store', store, '--json'];
    const env = { GITHUB_API_URL, GITHUB_REPOSITORY, GH_TOKEN: '', GITHUB_TOKEN: '' };
    const refused = await runCli(verify, { env });
    expect(refused).toMatchObject({
      exitCode: 2,
      stdout: expect.stringMatching(/token: .*GITHUB_TOKEN/),
    });
    const verified = await runCli(verify, { env: { ...env, GITHUB_TOKEN: service.restToken } });
    expect(verified.exitCode).toBe(0);
    expect(JSON.parse(verified.stdout)).toMatchObject({
      key,
      store,
      digest: seeded.outputs['snapshot-digest'],
    });
    expect(verified.stdout + verified.stderr).not.toContain(service.restToken);
  }
});

test('a snapshot of another run does not keep this run from saving its own', async () => {
  const key = 'shop';
  const store = 'artifact:latest@main';
  const past = service.startRun();
  await using first = await jobOf(past);
  const seeded = await first.step({ ...inputs, key, store });
  expect(seeded.log).toContain(`saved ${key}`);
  await seeded.post();
  service.conclude(past, 'success');

  const today = service.startRun();
  await using second = await jobOf(today);
  // Fails for what is restored, and no more after that.
  const check = '[ -e seen ] || { touch seen; exit 1; }';
  const step = await second.step({ ...inputs, key, store, check });
  expect(step).toMatchObject({ exitCode: 0, errors: [] });
  expect(step.log).toContain(`run ${past.id} has ${key}`);
  expect(step.outputs['miss-reason']).toContain('check failed');
  expect(step.log).toContain(`saved ${key}`);
  expect(today.artifacts.artifacts().map(({ name }) => name)).toEqual([key]);
  await step.post();

  const last = service.startRun();
  const name = newName();
  const env = { ...service.env, ...last.env, GITHUB_TOKEN: service.restToken };
  const image = testImage('postgres:17');
  const start = ['start', name, '--image', image, '--port', '0', '--save', 'false'];
  expect(await runCli(start, { env })).toMatchObject({ exitCode: 0 });
  service.conclude(today, 'success');
  const save = ['save', name, '--key', key, '--store', store];
  expect(await runCli(save, { env })).toMatchObject({ exitCode: 0 });
  expect(last.artifacts.artifacts().map(({ name }) => name)).toEqual([key]);
  const again = await runCli(save, { env });
  expect(again).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('already') });
});

test('a token that may not read runs costs the snapshot, and says what to permit', async () => {
  await using job = await jobOf(service.startRun());
  service.faults.next('rest:list-runs', { kind: 'status', status: 403 });
  const step = await job.step({
    ...inputs,
    seed: 'true',
    store: 'artifact:latest@main',
    save: 'false',
  });
  expect(step).toMatchObject({ exitCode: 0, errors: [] });
  expect(step.warnings).toEqual([
    expect.stringMatching(
      /^GitHub's API: could not list the runs on main of acme\/shop: 403 Forbidden: the token may not read the runs\. Give the job "permissions: actions: read"/,
    ),
  ]);
  expect(step.outputs['miss-reason']).toContain('403 Forbidden');
});

test('without a token, other runs are refused before anything is started', async () => {
  await using job = await jobOf(service.startRun(), { token: '' });
  const step = await job.step({ ...inputs, store: 'artifact:latest@main' });
  expect(step).toMatchObject({ exitCode: 1, masks: [] });
  expect(step.errors.join()).toMatch(/^token: the store artifact:latest@main reads other runs/);
  expect(service.faults.requests).toEqual([]);
});
