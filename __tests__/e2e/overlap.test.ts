import { readdir, readFile } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { startRegistry } from '../support/registry.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { nothing, startJob, type Inputs, type Job, type Step } from '../support/runner.ts';

let service: ResultsService;
beforeAll(async () => {
  service = await startResultsService({ azureDownloads: true });
});
afterAll(async () => {
  await service.close();
});

const inputs: Inputs = {
  ...{ image: testImage('redis:7'), port: '0', store: 'artifact' },
  seed: 'docker exec "$SNAPVOL_CONTAINER" redis-cli set one 1',
};

test('the snapshot is downloaded while the image is pulled', async () => {
  service.reset();
  await using registry = await startRegistry();
  await using job = await startJob({ env: service.env });
  const image = await registry.push(testImage('redis:7'), 'shop/redis:7');
  try {
    const first = await job.step({ ...inputs, image });
    expect(first).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    await first.post();
    await docker('rmi', image);

    // The image has come only when the download has begun.
    const download = service.faults.hold('download');
    registry.holdUntil(
      download.reached.then(() => {
        download.release();
      }),
    );
    const step = await job.step({ ...inputs, image, 'fail-on-miss': 'true' });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(step.outputs['cache-hit']).toBe('true');
    const lines = ['pulling', 'Key snapvol-', 'Look for a snapshot', 'found', 'Restore'];
    const at = lines.map((line) => step.log.indexOf(line));
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(at).not.toContain(-1);
    await step.post();
    expect(await job.leftovers()).toEqual(nothing);
  } finally {
    await docker('rmi', '--force', image);
  }
});

describe('an upload in the background', () => {
  const background: Inputs = { ...inputs, upload: 'background' };

  /** The processes that upload for the job. */
  async function uploaders(job: Job): Promise<readonly string[]> {
    const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const found = await Promise.all(
      ids.map(async (id) => {
        const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '');
        const env = await readFile(`/proc/${id}/environ`, 'utf8').catch(() => '');
        const isOurs = command.includes('upload.js') && env.includes(job.workspaceDir);
        return isOurs ? [{ id, command, env }] : [];
      }),
    );
    for (const { command, env } of found.flat()) {
      expect(command + env).not.toMatch(/ACTIONS_RUNTIME_TOKEN|hunter2/);
    }
    return found.flat().map(({ id }) => id);
  }

  /** A step whose upload the service holds back. */
  async function heldBack(job: Job, more: Inputs = {}) {
    service.reset();
    const hold = service.faults.hold(
      more.store === 'actions-cache' ? 'CreateCacheEntry' : 'CreateArtifact',
    );
    const step = await job.step({ ...background, ...more });
    expect(step).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    expect(step.log).toContain('is uploaded in the background');
    expect(step.summary).toContain('uploading in the background');
    expect(step.outputs['snapshot-digest']).toMatch(/^[0-9a-f]{64}$/);
    await hold.reached;
    const ids = await uploaders(job);
    expect(ids).toHaveLength(1);
    return { step, hold, pid: Number(ids[0]) };
  }

  async function expectNothing(job: Job): Promise<void> {
    expect(await uploaders(job)).toEqual([]);
    expect(await job.leftovers()).toEqual(nothing);
  }

  const reasonOf = async (post: ReturnType<Step['post']>): Promise<string> => {
    const { exitCode, errors, warnings } = await post;
    expect({ exitCode, errors }).toEqual({ exitCode: 0, errors: [] });
    expect(warnings).toHaveLength(1);
    return warnings.join();
  };

  test.each<{ given: Inputs; later: object }>([
    {
      given: { store: 'actions-cache' },
      later: { exitCode: 0, errors: [], outputs: { 'cache-hit': 'true' } },
    },
    {
      given: { store: 'artifact', passphrase: 'hunter2' },
      later: { exitCode: 1, errors: [expect.stringContaining('is encrypted')] },
    },
  ])(
    'goes on while the next steps run, and the end of the job waits for it: $given.store',
    async ({ given, later }) => {
      await using job = await startJob({ env: service.env });
      const { step, hold } = await heldBack(job, given);
      expect(await readdir(job.workspaceDir)).toEqual([]);
      const ending = step.post();
      hold.release();
      const post = await ending;
      expect(post).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
      expect(post.log).toMatch(/saved snapvol-redis-\S+, in [\d.]+ s in the background/);
      expect(post.log.slice(post.log.indexOf('Upload of'))).not.toMatch(/add-mask|debug/);
      await expectNothing(job);

      await using next = await startJob({ env: service.env });
      const { store = '' } = given;
      const found = await next.step({ ...inputs, store, 'fail-on-miss': 'true' });
      expect(found).toMatchObject(later);
      await found.post();
    },
  );

  test('that fails, is killed or is cancelled is a warning, and leaves nothing', async () => {
    await using job = await startJob({ env: service.env });
    service.reset();
    service.faults.next('CreateArtifact', { kind: 'status', status: 403 });
    const refused = await job.step(background);
    expect(await reasonOf(refused.post())).toMatch(
      /^the snapshot was not saved: GitHub's artifact service: could not save .* 403/,
    );
    await expectNothing(job);

    const killed = await heldBack(job);
    process.kill(killed.pid, 'SIGKILL');
    expect(await reasonOf(killed.step.post())).toBe(
      'the snapshot was not saved: the process that uploaded it was ended before it was done',
    );
    killed.hold.release();
    await expectNothing(job);

    const cancelled = await heldBack(job);
    expect(await reasonOf(cancelled.step.post('cancelled'))).toBe(
      'the snapshot was not saved: the job was cancelled',
    );
    cancelled.hold.release();
    await expectNothing(job);
  });
});
