import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, test } from '@jest/globals';

import { exitCodes } from '../../../src/cli/exit-codes.ts';

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
  for await (const said of child.stdout.setEncoding('utf8')) {
    if (!String(said).endsWith('done')) continue;
    child.kill(signal);
    child.stdin.write('end');
  }
  expect(await ended).toEqual([0, null]);
});

/** The tool with these arguments, as soon as it may begin. */
const run = (...args: string[]): [string, string[]] => [
  process.execPath,
  [
    ...['--no-warnings', '--input-type=module', '-e'],
    `const { main } = await import(${JSON.stringify(main)});
    process.stdin.once('data', async () => process.exit(await main(${JSON.stringify(args)})));`,
  ],
];

test('a result that cannot be written is no success', async () => {
  await using full = await open('/dev/full', 'w');
  const child = spawn(...run('--version'), { stdio: ['pipe', full.fd, 'pipe'] });
  child.stdin?.end('begin');
  const said = child.stderr && text(child.stderr);
  expect(await once(child, 'close')).toEqual([exitCodes['system-error'], null]);
  expect(await said).toMatch(/^error: could not write the result to stdout: ENOSPC/);
});

test.each([
  ['stdout', ['--version'], 0],
  ['stderr', ['no-such-command'], exitCodes['invalid-settings']],
] as const)('who reads no more of %s ends nothing in the middle', async (name, args, exitCode) => {
  const child = spawn(...run(...args), { stdio: 'pipe' });
  const ended = once(child, 'close');
  child[name].destroy();
  await once(child[name], 'close');
  child.stdin.end('begin');
  expect(await ended).toEqual([exitCode, null]);
});

interface Trouble {
  readonly env: Readonly<Record<string, string>>;
  /** What the error must name. */
  readonly names: string;
}

test.each<[string, (dir: string) => Trouble]>([
  ['a temporary folder that is not there', (dir) => tempAt(join(dir, 'gone'))],
  ['a temporary folder without rights', (dir) => tempAt(join(dir, 'locked'))],
  ['a store in a file', (dir) => storeAt(join(dir, 'file', 'store'))],
  ['a store without rights', (dir) => storeAt(join(dir, 'locked'))],
  ['a store with a name that is too long', (dir) => storeAt(join(dir, 'x'.repeat(300)))],
])('is no bug: %s', async (_, make) => {
  const dir = await mkdtemp(join(tmpdir(), 'snapvol-trouble-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(dir, { recursive: true }));
  await chmod(dir, 0o755);
  await writeFile(join(dir, 'file'), '');
  await mkdir(join(dir, 'locked'), { mode: 0 });
  const { env, names } = make(dir);
  const [program, args] = run('list', '--json');
  const child = spawn(program, args, {
    ...{ stdio: 'pipe', env: { HOME: '/nonexistent', ...env } },
    // Root may do anything.
    ...(process.getuid?.() === 0 && { uid: 65_534, gid: 65_534 }),
  });
  child.stdin.end('begin');
  const { error } = JSON.parse(await text(child.stdout)) as { error: Record<string, string> };
  expect(error['code']).not.toBe('internal');
  expect(error['message']).toContain(names);
  expect(error['hint']).toMatch(/^[A-Z]/);
});

const tempAt = (folder: string): Trouble => ({ env: { TMPDIR: folder }, names: folder });
const storeAt = (folder: string): Trouble => ({
  env: { SNAPVOL_STORE: `file:${folder}` },
  names: folder,
});
