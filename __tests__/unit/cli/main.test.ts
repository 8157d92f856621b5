import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { expect, test } from '@jest/globals';

const main = new URL('../../../src/cli/main.ts', import.meta.url).href;
/** The tool when it has written its result, and before its process has ended. */
const program = `
  const { main } = await import(${JSON.stringify(main)});
  const exitCode = await main(['--version']);
  process.stdin.once('data', () => process.exit(exitCode));
  process.stdout.write('done');
`;

test.each(['SIGINT', 'SIGTERM'] as const)('%s changes nothing when all is done', async (signal) => {
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  for await (const text of child.stdout.setEncoding('utf8')) {
    if (!String(text).endsWith('done')) continue;
    child.kill(signal);
    child.stdin.write('end');
  }
  expect(await ended).toEqual([0, null]);
});
