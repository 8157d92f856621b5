import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { runCli } from '../support/cli.ts';
import { docker, removeMadeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { furnish, look, runInAll } from '../support/storage.ts';
import { useScratch } from '../support/store-bundles.ts';

// Killed while the content of volumes is replaced: all of them hold the old one, or all the new one.

const image = testImage('postgres:17');
const prefix = `volumes-${randomBytes(4).toString('hex')}`;
const label = `snapvol.test.volumes=${prefix}`;

const scratch = useScratch();
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  env = { SNAPVOL_STORE: `file:${await scratch.folder('store')}`, TMPDIR: scratch.path };
});
afterAll(async () => {
  await removeMadeWith(label);
  await docker('volume', 'rm', '--force', `${prefix}-fresh`);
});

async function newVolume(what: string): Promise<string> {
  const name = `${prefix}-${what}`;
  await docker('volume', 'create', '--label', label, name);
  return name;
}

async function done(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await runCli(args, { env });
  expect(`${exitCode ?? '?'} ${exitCode === 0 ? '' : stderr}`).toBe('0 ');
}

test('a restore that is killed at any moment is undone or done by "recover"', async () => {
  const names = [await newVolume('one'), await newVolume('two')];
  const fill = (what: string): Promise<string> =>
    runInAll(
      names,
      `find . -mindepth 2 -delete
       for volume in *; do
         mkdir $volume/d; yes ${what} | head -c 8000000 > $volume/${what} || true
         for n in {1..300}; do echo ${what}$n > $volume/d/${what}$n; done
       done
       find . -exec touch --date @1000000000 {} +`,
    );
  const lookAtBoth = (): Promise<string> =>
    runInAll(
      names,
      "find */ -printf '%p %y %m %U:%G %T@\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum",
    );
  await fill('new');
  const wanted = await lookAtBoth();
  const save = ['save', '--image', image, '--compression', 'none', '--key'];
  await done(...save, 'both', ...names.flatMap((name) => ['--volumes', name]));
  const args = ['restore', 'both', '--image', image, '--overwrite', '--copy', 'pipe', '--quiet'];

  const startMs = performance.now();
  await done(...args);
  const lastsMs = performance.now() - startMs;
  expect(await lookAtBoth()).toBe(wanted);
  const outcomes = new Set<string>();
  const repaired: string[] = [];
  const moments = 12;
  await fill('old');
  const before = await lookAtBoth();
  let now = before;
  for (let n = 0; n < moments; n++) {
    if (now !== before) await fill('old');
    // The last one is done by then, however busy the machine is.
    const share = n === moments - 1 ? 5 : (n + Math.random()) / (moments - 1);
    await killed(args, lastsMs * share);
    repaired.push(...(await recovered()));
    now = await lookAtBoth();
    expect([before, wanted]).toContain(now);
    outcomes.add(now === wanted ? 'new' : 'old');
  }
  expect([...outcomes].sort()).toEqual(['new', 'old']);
  for (const line of repaired) expect(line).toMatch(/^repaired: (removed|undid|went on with) /);
  expect(repaired).toContain('repaired: undid a restore that was cut off');

  // New ones are there, or they are not.
  const third = await newVolume('third');
  await furnish(third, 'third');
  await done(...save, 'third', '--volumes', third);
  const fresh = `${prefix}-fresh`;
  for (const share of [0.3, 0.6, 0.9]) {
    await killed(['restore', 'third', '--volume', fresh], lastsMs * share);
    await recovered();
    if ((await docker('volume', 'ls', '--quiet', '--filter', `name=${fresh}`)) === '') continue;
    expect(await look(fresh)).toBe(await look(third));
    await docker('volume', 'rm', fresh);
  }
});

/** Runs the tool, and kills it at that moment unless it has ended. */
async function killed(args: readonly string[], afterMs: number): Promise<void> {
  await runCli(args, { env, interrupt: { signal: 'SIGKILL', when: afterMs } });
}

/** What was repaired; then nothing is left to be. */
async function recovered(): Promise<string[]> {
  const { exitCode, stdout } = await runCli(['recover'], { env });
  expect(exitCode).toBe(0);
  return stdout.split('\n').filter((line) => line.startsWith('repaired'));
}
