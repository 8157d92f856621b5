import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { flipBit, truncateFile } from '../support/damage.ts';
import { runCli } from '../support/cli.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { useOwnEngine } from '../support/own-engine.ts';
import {
  startResultsService,
  type Endpoint,
  type Fault,
  type ResultsService,
} from '../support/results-service/index.ts';
import {
  nothing,
  startJob,
  storeOfJobs,
  type Inputs,
  type JobOptions,
  type StepOptions,
} from '../support/runner.ts';
import { shortPauses } from '../support/short-pauses.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { useScratch } from '../support/store-bundles.ts';
import { redis, startBystander, wholeState, type WholeState } from '../support/whole-state.ts';

// The store is down, lies, or has no room; or there is none for the copy on its way.

useOwnEngine('500m', ['redis:7']);
const scratch = useScratch();

/** Who has made the data, and half a megabyte that does not compress. */
const seedAs = (maker: string, size = '500K'): string =>
  `docker exec "$SNAPVOL_CONTAINER" sh -c 'redis-cli set maker "${maker}"
    head -c ${size} /dev/urandom >/data/bulk'`;
const image = testImage('redis:7');
const inputs: Inputs = {
  image,
  port: '0',
  key: 'shop',
  seed: seedAs('this job'),
};

let service: ResultsService;
/** Folder of a store with one snapshot, `shop`, as the service has one. */
let original: string;
let before: WholeState;
beforeAll(async () => {
  await startBystander();
  service = await startResultsService({ azureDownloads: true });
  original = await scratch.folder('store');
  for (const store of [`file:${original}`, 'actions-cache']) {
    await using job = await startJob({ env: service.env });
    const step = await job.step({ ...inputs, seed: seedAs('the first job'), store });
    expect(step).toMatchObject({ exitCode: 0, warnings: [] });
    await step.post();
  }
});
afterAll(() => service.close());
beforeEach(async () => {
  service.faults.clear();
  before = await wholeState();
});

/** A step in a job of its own, which leaves nothing after its post phase. */
async function runStep(given: Inputs, options: JobOptions = {}, step: StepOptions = {}) {
  await using job = await startJob(options);
  const main = await job.step({ ...inputs, ...given }, step);
  const { exitCode, outputs, errors, warnings, log } = main;
  expect(outputs['cache-hit']).toBe('false');
  const { container, 'miss-reason': missReason = errors.join() } = outputs;
  const maker = container === undefined ? '' : await redis(container, 'get', 'maker');
  await main.post();
  expect(await job.leftovers()).toEqual(nothing);
  expect(await wholeState()).toEqual(before);
  return { exitCode, missReason, maker, log, said: warnings.join('\n') };
}

const seeded = { exitCode: 0, maker: 'this job' };
const failed = { exitCode: 1, maker: '' };

describe("GitHub's cache", () => {
  const options = (): JobOptions => ({ env: { ...service.env, NODE_OPTIONS: shortPauses } });
  const keys = (): string[] => service.entries().map(({ key }) => key);

  type Row = [
    string,
    Endpoint,
    Exclude<Fault, { kind: 'hold' | 'stall' }>,
    RegExp,
    seeds?: 'seeds',
  ];
  test.each<Row>([
    ['is down', 'GetCacheEntryDownloadURL', { kind: 'status', status: 503 }, / 503/, 'seeds'],
    ['is asked too often', 'GetCacheEntryDownloadURL', { kind: 'status', status: 429 }, / 429/],
    ['breaks off', 'download', { kind: 'cut', afterBytes: 1000 }, /load shop.*broke off/],
    ['delivers too little', 'download', { kind: 'shorten', toBytes: 99_000 }, /damaged/],
    ['has a wrong bit at the start', 'download', { kind: 'flip', offset: 0 }, /damaged/],
    ['has one in the middle', 'download', { kind: 'flip', offset: 250_000 }, /damaged/, 'seeds'],
    ['has one at the end', 'download', { kind: 'flip', offset: 510_000 }, /damaged/],
  ])('that %s costs the hit, and says so', async (_, endpoint, fault, reason, ...[seeds]) => {
    for (const wanted of seeds ? [seeded, failed] : [failed]) {
      service.faults.clear();
      service.faults.next(endpoint, fault, 20);
      const given = { store: 'actions-cache', 'fail-on-miss': String(wanted === failed) };
      const outcome = await runStep(given, options());
      expect(outcome).toMatchObject({ ...wanted, missReason: expect.stringMatching(reason) });
      expect(outcome.said).toMatch(reason);
      expect(outcome.said).not.toContain('until you remove it');
      expect(service.faults.hits(endpoint, fault.kind)).toBeGreaterThan(0);
      expect(keys()).toEqual(['shop']);
    }
  });

  test('whose token may only read: seeds, and says why it is not saved', async () => {
    service.faults.readOnlyToken = true;
    const outcome = await runStep({ store: 'actions-cache', key: 'new' }, options());
    expect(outcome).toMatchObject(seeded);
    expect(outcome.said).toMatch(/not saved: .*may only read caches/s);
    expect(keys()).toEqual(['shop']);
  });

  test('that evicts the snapshot before it is loaded: seeds, and saves it anew', async () => {
    const held = service.faults.hold('download');
    const running = runStep({ store: 'actions-cache' }, options());
    await Promise.race([held.reached, running]);
    await service.evict('shop');
    held.release();
    expect(await running).toMatchObject({
      ...seeded,
      missReason: 'the snapshot shop was removed while it was looked up',
    });
    expect(keys()).toEqual(['shop']);
  });
});

describe('a folder with a snapshot that is damaged', () => {
  const damages: Readonly<Record<string, (file: string) => Promise<void>>> = {
    'a wrong bit at the start': (file) => flipBit(file, 0),
    'a wrong bit in the middle': (file) => flipBit(file, 0.5),
    'a wrong bit at the end': (file) => flipBit(file, 1),
    'half of it gone': (file) => truncateFile(file, 0.5),
    'all of it gone': (file) => truncateFile(file, 0),
  };
  test.each(['manifest.json', 'SHA256SUMS', 'data.tar.zst'])(
    'is not restored, whatever is wrong with its %s',
    async (file) => {
      for (const [what, damage] of Object.entries(damages)) {
        const store = await scratch.folder('store');
        await cp(storeOfJobs(original), store, { recursive: true });
        await damage(join(store, 'shop', file));
        const args = ['restore', 'shop', '--volume', 'new', '--store', `file:${store}`];
        expect({ what, ...(await runCli(args)) }).toMatchObject({
          what,
          exitCode: 15,
          stderr: expect.stringMatching(/damaged|not a whole|has \d+ bytes/),
        });
      }
      expect(await wholeState()).toEqual(before);
    },
  );
});

describe('a small disk', () => {
  let disk: ReturnType<typeof mountSmallDisk>;
  beforeAll(async () => {
    await docker('run', '--detach', '--name', 'big', '--volume', 'big-data:/data', image);
    await docker('exec', 'big', 'sh', '-c', 'head -c 2M /dev/urandom >/data/bulk');
  });
  afterAll(async () => {
    await docker('rm', '--force', 'big');
    await docker('volume', 'rm', 'big-data');
  });
  beforeEach(() => {
    disk = mountSmallDisk('400k');
  });
  afterEach(async () => {
    const after = await wholeState({ tempDirs: [disk.path] });
    disk[Symbol.dispose]();
    expect(after).toEqual(before);
  });

  test.each<{ what: string; args: string[]; exitCode: number; says: RegExp }>([
    {
      what: 'a volume is saved',
      args: ['save', '--container', 'big'],
      exitCode: 13,
      says: /the disk is full while writing .*TMPDIR, RUNNER_TEMP/s,
    },
    {
      what: 'a snapshot is restored',
      args: ['restore', 'shop', '--volume', 'new'],
      exitCode: 17,
      says: /could not load shop.*ENOSPC.*TMPDIR, RUNNER_TEMP/s,
    },
  ])('for temporary files: $what', async ({ args, exitCode, says }) => {
    const result = await runCli([...args, '--store', `file:${storeOfJobs(original)}`], {
      env: { TMPDIR: disk.path },
    });
    expect(result).toMatchObject({ exitCode, stderr: expect.stringMatching(says) });
  });

  test.each<{ step: string; given: Inputs; says: RegExp }>([
    { step: 'that loads seeds', given: {}, says: /could not load shop from file:.*ENOSPC/ },
    { step: 'that saves serves', given: { key: 'new' }, says: /not saved: the disk is full/ },
    {
      step: 'that loads from the cache seeds',
      given: { store: 'actions-cache' },
      says: /ENOSPC.*could not load shop: .*no room/s,
    },
  ])('for temporary files: a step $step, and says why', async ({ given, says }) => {
    const small = { env: { RUNNER_TEMP: disk.path } };
    const inputs = { store: `file:${original}`, ...given };
    const outcome = await runStep(inputs, { env: service.env }, small);
    expect(outcome).toMatchObject({ ...seeded, said: expect.stringMatching(says) });
    expect(outcome.said).not.toContain('until you remove it');
  });

  test('for a store keeps the snapshots that are there, whole', async () => {
    using small = mountSmallDisk('1m');
    await cp(storeOfJobs(original), small.path, { recursive: true });
    for (const more of [
      ['--key', 'new'],
      ['--key', 'shop', '--overwrite'],
    ]) {
      const args = ['save', '--container', 'big', ...more, '--store', `file:${small.path}`];
      const result = await runCli(args);
      expect(result).toMatchObject({
        exitCode: 17,
        stderr: expect.stringMatching(
          /could not (save new to|replace shop in) file:.*ENOSPC.*Free some space there/s,
        ),
      });
      expect((await wholeState({ store: small.path })).snapshots).toEqual(['shop']);
    }
  });
});
