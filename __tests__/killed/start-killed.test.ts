import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { runCli, type CliOptions, type CliResult } from '../support/cli.ts';
import { docker, removeMadeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { useScratch } from '../support/store-bundles.ts';

// Ended at any moment of `start`, of a `restore`, and of `save`, `reset` and `clone` of what was started: everything is
// as before, at once or after the next command.

const image = testImage('redis:7');
const prefix = `killed-${randomBytes(4).toString('hex')}`;
/** A database that is saved, reset and cloned, and serves; and one that is put back by a copy. */
const served = `${prefix}-served`;
const copied = `${prefix}-copied`;
const seed = 'docker exec "$SNAPVOL_CONTAINER" redis-cli mset one 1 two 2';

type Command =
  'start on a miss' | 'start on a hit' | 'save' | 'restore' | 'reset' | 'reset by a copy' | 'clone';

/** Of the try with this number: what it makes has names of its own. */
const commands: Readonly<Record<Command, (n: number) => string[]>> = {
  'start on a miss': (n) => start(`${prefix}-${n}`, `miss-${n}`),
  'start on a hit': (n) => start(`${prefix}-${n}`, 'whole'),
  save: (n) => ['save', served, '--key', `save-${n}`],
  restore: (n) => ['restore', 'whole', '--volume', volumeOf(n)],
  reset: () => ['reset', served],
  'reset by a copy': () => ['reset', copied],
  clone: () => ['clone', served, '--count', '2'],
};
/** The database that the command puts back. */
const resets: Partial<Record<Command, string>> = { reset: served, 'reset by a copy': copied };
const signals = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const;
/** The other way to reset differs in what a kill leaves. */
const signalsOf = (command: Command): readonly (typeof signals)[number][] =>
  command === 'reset by a copy' ? ['SIGKILL'] : signals;
/** For each command and signal; spread over all of its duration, and at random within each part. */
const parts = 3;

const scratch = useScratch();
let store: string;
let tempDir: string;
let before: string[];
const lastsMs = new Map<Command, number>();

beforeAll(async () => {
  store = await scratch.folder('store');
  tempDir = await scratch.folder('temp');
  const bystander = ['run', '--detach', '--name', `${prefix}-user`, '--volume', `${prefix}:/data`];
  await docker(...bystander, image);
  await done(start(served, 'whole'));
  await done([...start(copied, 'whole'), '--reset', 'copy']);
  before = await look();
  for (const command of names()) {
    const args = commands[command](0);
    const startMs = performance.now();
    await done(args);
    lastsMs.set(command, performance.now() - startMs);
    await undo(command, 0);
  }
  expect(await look()).toEqual(before);
});
afterAll(async () => {
  for (const name of [served, copied]) await removeMadeWith(`dev.snapvol.name=${name}`);
  await docker('rm', '--force', '--volumes', `${prefix}-user`);
  await docker('volume', 'rm', prefix);
});

function names(): Command[] {
  return Object.keys(commands) as Command[]; // a cast: of all keys
}

function start(name: string, key: string): string[] {
  return ['start', name, '--image', image, '--port', '0', '--key', key, '--seed', seed];
}

function volumeOf(n: number): string {
  return `${prefix}-restored-${n}`;
}

function snapvol(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const env = { SNAPVOL_STORE: `file:${store}`, TMPDIR: tempDir };
  return runCli(args, { ...options, env });
}

async function done(args: readonly string[]): Promise<void> {
  expect(await snapvol(args)).toMatchObject({ exitCode: 0 });
}

/** After a command that was done: what it has made is whole. */
async function undo(command: Command, n: number): Promise<void> {
  const volume = volumeOf(n);
  const putBack = resets[command];
  if (command === 'restore') {
    const found = ['run', '--rm', '--volume', `${volume}:/data`, '--entrypoint', 'cat', image];
    expect(await docker(...found, '/data/dump.rdb')).toContain('REDIS');
    await docker('volume', 'rm', volume);
  } else if (putBack !== undefined) {
    expect(await redis(putBack, 'dbsize')).toBe('2');
  } else if (command !== 'save') {
    const made = command === 'clone' ? [`${served}-1`, `${served}-2`] : [`${prefix}-${n}`];
    for (const name of made) {
      expect(await redis(name, 'dbsize')).toBe('2');
      await done(['stop', name]);
    }
  }
}

async function redis(name: string, ...command: readonly string[]): Promise<string> {
  const container = await docker('ps', '--quiet', '--filter', `label=dev.snapvol.name=${name}`);
  return docker('exec', container, 'redis-cli', ...command);
}

/** All that there is in the engine, whoever has made it; in order. */
async function look(): Promise<string[]> {
  const listed = await Promise.all([
    docker('ps', '--all', '--format', 'container {{.Names}} {{.State}}'),
    docker('volume', 'ls', '--format', 'volume {{.Name}}'),
    docker('network', 'ls', '--format', 'network {{.Name}}'),
    docker('images', '--format', 'image {{.Repository}}:{{.Tag}}'),
  ]);
  return listed.flatMap((lines) => lines.split('\n')).sort();
}

describe.each(names())('%s', (command) => {
  const rows = signalsOf(command).flatMap((signal, row) =>
    Array.from({ length: parts }, (_, part) => ({
      ...{ signal, part, share: (part + Math.random()) / parts },
      n: (names().indexOf(command) * signals.length + row) * parts + part + 1,
    })),
  );

  test.each(rows)('leaves nothing when it gets $signal in part $part of 3', async (row) => {
    const { n, signal, share } = row;
    const database = resets[command];
    if (database !== undefined) {
      // Gone after a reset, whoever ends that. On disk: a server that is only started again would still have it.
      await redis(database, 'set', 'three', '3');
      await redis(database, 'save');
    }
    const interrupt = { signal, when: share * (lastsMs.get(command) ?? 0) };
    const { exitCode, stdout, stderr } = await snapvol(commands[command](n), { interrupt });
    // The last step of Node.js out of the process has no handlers any more: what has given its result is done.
    if (exitCode === 0 || (exitCode === null && stdout !== '')) {
      await undo(command, n);
    } else if (signal === 'SIGKILL') {
      const next = await snapvol(n % 2 === 0 ? ['recover'] : ['restore', 'none']);
      const isRepaired = /repaired/.test(next.stdout + next.stderr);
      if (isRepaired && database !== undefined) await undo(command, n);
      // What was neither there before nor repaired was done, but for the end of the process.
      if (!isRepaired && (await look()).length > before.length) await undo(command, n);
    } else if (exitCode !== null) {
      // Without handlers yet, it has made nothing, and says nothing.
      expect([exitCode, stderr]).toEqual([
        exitCodes.cancelled,
        expect.stringContaining('cancelled'),
      ]);
      // Nothing that was written is lost by half a reset.
      if (database !== undefined) expect(await redis(database, 'get', 'three')).toBe('3');
    }
    expect(await look()).toEqual(before);
    if (database !== undefined) expect(await redis(database, 'mget', 'one', 'two')).toBe('1\n2');
    expect(await readdir(tempDir)).toEqual([]);
  });
});

test('what is in the store is whole', async () => {
  await done(['save', served, '--key', 'last']);
  const keys = await readdir(store);
  expect(keys).toEqual(expect.arrayContaining(['whole', 'last']));
  expect(keys.filter((key) => !/^(whole|last|(miss|save)-\d+)$/.test(key))).toEqual([]);
  await done(['verify']);
});
