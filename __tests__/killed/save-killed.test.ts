import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { runCli } from '../support/cli.ts';
import { query } from '../support/postgres.ts';
import { runningOf, startStack, unfinishedWork, type Stack } from '../support/stack.ts';
import { useScratch } from '../support/store-bundles.ts';

// Killed at any moment of a `save`: nothing of it stays but what the next command repairs.

const scratch = useScratch();
const kills = 20;

let stack: Stack;
let store: string;
let wholeMs: number;
beforeAll(async () => {
  stack = await startStack();
  store = `file:${await scratch.folder('store')}`;
  const startMs = Date.now();
  expect(await runCli(saveAs('whole'))).toMatchObject({ exitCode: 0 });
  wholeMs = Date.now() - startMs;
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

function saveAs(key: string): string[] {
  return ['save', '--compose-project', stack.project, '--key', key, '--store', store];
}

describe('a save that is killed', () => {
  // Spread over all of it, and at random within each part.
  const moments = Array.from({ length: kills }, (_, i) => ({
    part: i,
    share: (i + Math.random()) / kills,
  }));

  test.each(moments)(
    'in part $part of 20 leaves what the next command repairs',
    async ({ part, share }) => {
      const interrupt = { signal: 'SIGKILL', when: share * wholeMs } as const;
      await runCli(saveAs(`k${part}`), { interrupt });
      const running = await runningOf(stack.containers);
      const down = stack.containers.filter((name) => !running.includes(name));

      // Every second time it is not told to, but does it all the same.
      const next = part % 2 === 0 ? ['recover'] : ['restore', 'none', '--store', store];
      const { stdout, stderr } = await runCli(next);
      expect(await runningOf(stack.containers)).toEqual(stack.containers);
      expect(await unfinishedWork()).toBe('');
      for (const name of down) expect(`${stdout}${stderr}`).toContain(name);
      expect(await query(stack.database, 'select count(*) > 0 from item')).toBe('t');
    },
  );

  test('and what is in the store is whole', async () => {
    const { exitCode } = await runCli(['verify', '--store', store]);
    expect(exitCode).toBe(0);
    expect(await runCli(saveAs('last'))).toMatchObject({ exitCode: 0 });
  });
});
