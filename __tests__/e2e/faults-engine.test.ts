import { cp } from 'node:fs/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { runCli, type CliResult } from '../support/cli.ts';
import { containerEvent, docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { useOwnEngine } from '../support/own-engine.ts';
import { query } from '../support/postgres.ts';
import { nothing, startJob, type Inputs, storeOfJobs } from '../support/runner.ts';
import { untilServes } from '../support/stack.ts';
import { useScratch } from '../support/store-bundles.ts';
import { runIn } from '../support/storage.ts';
import { startBystander, wholeState, type WholeState } from '../support/whole-state.ts';

// The engine is killed, or its disk is full, in the middle of each thing that users do.

const engine = useOwnEngine('700m', ['postgres:17', 'redis:7']);
const scratch = useScratch();

const mebibyte = 1024 * 1024;
const contentBytes = 60 * mebibyte;
/** It takes a while to copy, and does not compress. */
const bulky = `docker exec "$SNAPVOL_CONTAINER" sh -c 'head -c ${contentBytes} /dev/urandom >/data/bulk'`;
const inputs: Inputs = { image: testImage('redis:7'), port: '0', key: 'shop', compression: 'none' };

/** Holds one bulky snapshot, `shop`. */
let filled: string;
let tempDir: string;
let before: WholeState;
beforeAll(async () => {
  await startBystander();
  filled = await scratch.folder('store');
  await using job = await startJob();
  const seed = `docker exec "$SNAPVOL_CONTAINER" redis-cli set one 1\n${bulky}`;
  const step = await job.step({ ...inputs, seed, store: `file:${filled}` });
  expect(step).toMatchObject({ exitCode: 0, warnings: [] });
  await step.post();
  tempDir = await scratch.folder('temp');
});
beforeEach(async () => {
  before = await wholeState({ tempDirs: [tempDir] });
});
afterEach(async () => {
  expect(await wholeState({ tempDirs: [tempDir] })).toEqual(before);
});

function snapvol(...args: readonly string[]): Promise<CliResult> {
  return runCli(args, { env: { TMPDIR: tempDir } });
}

/** When a container for copying is created or started, the so-many-eth one. */
type Moment = readonly ['create' | 'start', number];

async function killAt([action, nth]: Moment, ended: AbortSignal): Promise<void> {
  await containerEvent(action, ['dev.snapvol.purpose=copy'], Date.now(), ended, nth);
  await engine().kill();
}

/** What happens meanwhile; it ends before the work does. */
async function during<T>(
  work: Promise<T>,
  fault: (ended: AbortSignal) => Promise<void>,
): Promise<T> {
  const ended = new AbortController();
  const [result] = await Promise.all([
    work.finally(() => {
      ended.abort();
    }),
    fault(ended.signal),
  ]);
  return result;
}

describe('an engine that is killed', () => {
  const unreachable = /no container engine answers at unix:/;

  test('while the seed runs ends the command; the next one removes what is left', async () => {
    const store = await scratch.folder('store');
    const seed = `${engine().killCommand()}\ndocker exec "$SNAPVOL_CONTAINER" redis-cli set one 1`;
    const start = ['start', 'shop', '--image', inputs.image ?? '', '--port', '0', '--seed', seed];
    const started = await snapvol(...start, '--store', `file:${store}`);
    await engine().start();
    expect(started).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(unreachable) });
    expect((await snapvol('recover')).stdout).toMatch(
      /removed what the start of shop had made before it was cut off: snapvol-shop-\w+, /,
    );
    expect(await wholeState({ store })).toEqual(before);
  });

  test.each<{ copy: string; moment: Moment }>([
    { copy: 'pipe', moment: ['start', 1] },
    { copy: 'archive', moment: ['create', 1] },
  ])('while a snapshot is extracted ($copy): the same', async ({ copy, moment }) => {
    await using job = await startJob();
    const step = await during(
      job.step({ ...inputs, copy, seed: 'true', store: `file:${filled}` }),
      (ended) => killAt(moment, ended),
    );
    await engine().start();
    expect(step).toMatchObject({ exitCode: 1, errors: [expect.stringMatching(unreachable)] });
    expect(await step.post()).toMatchObject({ exitCode: 0 });
    expect(await job.leftovers()).toEqual(nothing);
  });

  describe("while somebody else's database", () => {
    const rows = 'select count(*), sum(id) from item';
    beforeAll(async () => {
      await docker(
        ...['run', '--detach', '--name', 'db', '--env', 'POSTGRES_HOST_AUTH_METHOD=trust'],
        ...['--volume', 'db-data:/var/lib/postgresql/data', testImage('postgres:17')],
      );
      await untilServes('db');
      await query('db', 'create table item as select generate_series(1, 200000) id');
    });
    afterAll(async () => {
      await docker('rm', '--force', 'db');
      await docker('volume', 'rm', 'db-data');
    });

    test.each<{ how: string; moment: Moment }>([
      { how: 'stop', moment: ['start', 1] },
      { how: 'pause', moment: ['start', 1] },
    ])(
      'is saved ($how): recover starts it again, and it holds the same',
      async ({ how, moment }) => {
        const store = await scratch.folder('store');
        const save = ['save', '--container', 'db', '--quiesce', how, '--store', `file:${store}`];
        const saved = await during(snapvol(...save), (ended) => killAt(moment, ended));
        expect(saved).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(unreachable) });
        await engine().start();
        expect(await docker('inspect', '--format', '{{.State.Running}}', 'db')).toBe('false');
        const recovered = await snapvol('recover');
        expect(recovered).toMatchObject({
          exitCode: 0,
          stdout: expect.stringMatching(/the container db runs again/),
        });
        await untilServes('db');
        expect(await query('db', rows)).toBe('200000|20000100000');
        expect(await wholeState({ store })).toEqual(before);
      },
    );
  });

  describe('while a volume is restored over its content', () => {
    test.each<{ what: string; moment: Moment; holds: string; says: RegExp }>([
      { what: 'filled', moment: ['start', 2], holds: 'old', says: /undid a restore/ },
      { what: 'exchanged', moment: ['start', 3], holds: 'bulk', says: /went on with a restore/ },
    ])('and is being $what: recover leaves all of one, $holds', async ({ moment, holds, says }) => {
      await runIn('target', 'rm -rf * .[!.]*; echo old > old');
      before = await wholeState({ tempDirs: [tempDir] });
      const volume = [
        '--volume',
        'target',
        '--overwrite',
        '--store',
        `file:${storeOfJobs(filled)}`,
      ];
      const restored = await during(snapvol('restore', 'shop', ...volume), (ended) =>
        killAt(moment, ended),
      );
      expect(restored).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(unreachable) });
      await engine().start();
      const recovered = await snapvol('recover');
      expect(recovered.stdout).toMatch(says);
      expect((await runIn('target', 'ls -A')).split('\n')).toContain(holds);
      expect((await snapvol('recover')).stdout).toBe('nothing to repair\n');
    });
  });
});

describe('the disk of the engine that is full', () => {
  const seedOf = (size: string): string =>
    `docker exec "$SNAPVOL_CONTAINER" sh -c 'head -c ${size} /dev/urandom >/data/bulk'`;
  let freeBytes: number;
  beforeAll(() => runIn('holding', 'echo old >old'));
  afterAll(() => docker('volume', 'rm', 'holding'));
  beforeEach(async () => {
    freeBytes = await engine().freeBytes();
  });
  afterEach(async () => {
    expect(freeBytes - (await engine().freeBytes())).toBeLessThan(mebibyte);
  });

  test.each<{ what: string; free: number; args: string[]; exitCode: number; says: RegExp }>([
    {
      what: 'while the seed writes',
      free: 40 * mebibyte,
      args: [
        'start',
        'full',
        '--image',
        inputs.image ?? '',
        '--port',
        '0',
        '--seed',
        seedOf('99M'),
      ],
      exitCode: 10,
      says: /No space left on device/,
    },
    {
      what: 'while a volume is restored',
      free: 30 * mebibyte,
      args: ['restore', 'shop', '--volume', 'full'],
      exitCode: 13,
      says: /could not fill full.*No space left on device/s,
    },
    {
      what: 'while a volume is restored over its content',
      free: 30 * mebibyte,
      args: ['restore', 'shop', '--volume', 'holding', '--overwrite'],
      exitCode: 13,
      says: /could not fill holding.*No space left on device/s,
    },
    {
      what: 'while a volume is created',
      free: 0,
      args: ['restore', 'shop', '--volume', 'full'],
      exitCode: 13,
      says: /full.*no space left on device/s,
    },
    {
      what: 'while a database is created',
      free: 0,
      args: ['start', 'full', '--image', inputs.image ?? '', '--port', '0', '--seed', 'true'],
      exitCode: 13,
      says: /full.*no space left on device/s,
    },
    {
      what: 'while a volume is restored by the archive API',
      free: 30 * mebibyte,
      args: ['restore', 'shop', '--volume', 'full', '--copy', 'archive'],
      exitCode: 13,
      says: /could not fill full.*no space left on device/s,
    },
    {
      what: 'while a snapshot is extracted for a database',
      free: 30 * mebibyte,
      args: [
        'start',
        'full',
        '--image',
        inputs.image ?? '',
        '--port',
        '0',
        '--key',
        'shop',
        '--fail-on-miss',
      ],
      exitCode: 14,
      says: /the snapshot shop cannot be used: could not fill.*No space left on device/s,
    },
    {
      what: 'while a database is saved',
      free: 0,
      args: ['save', '--container', 'bystander'],
      exitCode: 13,
      says: /no space left on device/s,
    },
  ])('$what', async ({ free, args, exitCode, says }) => {
    const store = await scratch.folder('store');
    await cp(storeOfJobs(filled), store, { recursive: true });
    await using room = new AsyncDisposableStack();
    room.use(await engine().leaveOnly(free));
    const result = await snapvol(...args, '--store', `file:${store}`);
    expect(result).toMatchObject({ exitCode, stderr: expect.stringMatching(says) });
    expect(await wholeState({ store })).toEqual({ ...before, snapshots: ['shop'] });
  });
});
