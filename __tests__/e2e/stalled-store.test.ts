import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { runCli } from '../support/cli.ts';
import { testImage } from '../support/images.ts';
import { startResultsService, type ResultsService } from '../support/results-service/index.ts';
import { nothing, startJob, type Inputs } from '../support/runner.ts';

let service: ResultsService;
beforeAll(async () => {
  service = await startResultsService({ azureDownloads: true });
});
afterAll(async () => {
  await service.close();
});

const key = 'shop';
const inputs: Inputs = {
  ...{ image: testImage('redis:7'), key, port: '0', 'store-timeout': '3s' },
  seed: 'docker exec "$SNAPVOL_CONTAINER" redis-cli set one 1',
};

// The service holds what stalls until the end of the test: nothing but the time-out lets the steps go on and end.
test.each(['actions-cache', 'artifact'])(
  'what stalls in the store %s is a miss with that reason',
  async (store) => {
    service.reset();
    const lookUp = store === 'artifact' ? 'ListArtifacts' : 'GetCacheEntryDownloadURL';
    const reason = (what: string): string =>
      `${store}: could not ${what} shop: it was not done within 3 s`;
    await using job = await startJob({ env: service.env });
    const first = await job.step({ ...inputs, store, 'store-timeout': '1m' });
    expect(first).toMatchObject({ exitCode: 0, errors: [], warnings: [] });
    await first.post();

    const download = service.faults.stallDownload(1000);
    const step = await job.step({ ...inputs, store });
    expect(step).toMatchObject({
      exitCode: 0,
      errors: [],
      warnings: [`${reason('load')}. Raise "store-timeout" if it only needs longer`],
    });
    expect(step.outputs).toMatchObject({ 'cache-hit': 'false', 'miss-reason': reason('load') });
    // It did not come, but it may be as good as any.
    expect(step.log).toContain(
      'the snapshot that has this key stays, and may be used by the next run',
    );
    await step.post();

    const question = service.faults.hold(lookUp);
    const strict = await job.step({ ...inputs, store, 'fail-on-miss': 'true' });
    expect(strict).toMatchObject({
      exitCode: 1,
      errors: [expect.stringContaining(`no snapshot to restore: ${reason('look up')}`)],
    });
    download.release();
    question.release();
    expect(await job.leftovers()).toEqual(nothing);
  },
);

test('a command ends although a client of GitHub goes on', async () => {
  service.reset();
  const question = service.faults.hold('ListArtifacts');
  const args = ['inspect', key, '--store', 'artifact', '--store-timeout', '1', '--json'];
  const { exitCode, stdout } = await runCli(args, { env: service.env });
  expect(exitCode).toBe(17);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'store-unavailable' } });
  question.release();
});
