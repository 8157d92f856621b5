import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll } from '@jest/globals';

import { removeMadeWith } from './docker-cli.ts';

/** The checkout whose tool is run: this one, unless the tests are to judge another. */
const root = process.env['SNAPVOL_ACTION'] ?? resolve(import.meta.dirname, '../..');
const bundled = join(root, 'dist/cli.js');
/** What users run, where it has been built, with all that Node says of it; else the sources, of which it warns. */
const program = existsSync(bundled)
  ? [bundled]
  : ['--no-warnings', join(import.meta.dirname, 'cli-child.ts')];

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A program that runs the rest of its arguments, and its own first ones. */
  readonly within?: readonly [string, string[]];
  /** Sends the signal at the first line of stderr that matches, or so many milliseconds after the start. */
  readonly interrupt?: { readonly signal: NodeJS.Signals; readonly when: RegExp | number };
}

/** Gives names for databases that no other test has. What is made under them goes after the last test of the file. */
export function useNames(prefix: string): () => string {
  const names: string[] = [];
  afterAll(async () => {
    for (const name of names) {
      await removeMadeWith(`dev.snapvol.clone-of=${name}`);
      await removeMadeWith(`dev.snapvol.name=${name}`);
    }
  });
  return () => {
    const name = `${prefix}-${randomBytes(4).toString('hex')}`;
    names.push(name);
    return name;
  };
}

/**
 * Runs the command-line tool in a process of its own. What tests seed takes no time, so that a `start` by itself would
 * seldom save it: here it does, unless `--save` says otherwise.
 */
export async function runCli(
  args: readonly string[],
  { cwd, env, within, interrupt }: CliOptions = {},
): Promise<CliResult> {
  const always = args[0] === 'start' && !args.includes('--save') ? ['--save', 'true'] : [];
  const command = [...program, ...args, ...always];
  const [run, words] = within
    ? [within[0], [...within[1], process.execPath, ...command]]
    : [process.execPath, command];
  const child = spawn(run, words, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(typeof interrupt?.when === 'number' && {
      timeout: Math.ceil(interrupt.when),
      killSignal: interrupt.signal,
    }),
  });
  let stdout = '';
  let stderr = '';
  let interrupted = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  createInterface(child.stderr).on('line', (line) => {
    stderr += `${line}\n`;
    if (!(interrupt?.when instanceof RegExp) || interrupted || !interrupt.when.test(line)) return;
    interrupted = true;
    child.kill(interrupt.signal);
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stdout, stderr };
}
