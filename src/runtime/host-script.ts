import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { AppError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { inScratch } from '../scratch.ts';
import type { RunScript, Script } from './script.ts';

export interface ScriptOptions {
  readonly log: Log;
  readonly scratchDir: string;
  readonly cwd: string;
  /** The environment around the script's own variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where its output goes: 1 or 2, ours. */
  readonly outputFd: 1 | 2;
}

/**
 * As `run:` steps have them: the first that is here.
 * https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
 */
const shells = [
  { program: 'bash', args: ['--noprofile', '--norc', '-e', '-o', 'pipefail'] },
  { program: 'sh', args: ['-e'] },
] as const;

/**
 * As a `run:` step does: over a file, so that the text is in no process list.
 * @throws `invalid-settings` where no shell can be started, or the file cannot be written
 */
export function createScriptRunner(options: ScriptOptions): RunScript {
  const { scratchDir } = options;
  return async (script, signal) => {
    signal.throwIfAborted();
    const folder = await inScratch(scratchDir, () => mkdtemp(join(scratchDir, 'script-')));
    try {
      const file = join(folder, 'script.sh');
      await inScratch(scratchDir, () => writeFile(file, script.text, { mode: 0o600 }));
      const cwd = resolve(options.cwd, script.cwd ?? '.');
      const child = await startShell({ ...options, cwd }, file, script.env);
      const cancel = (): void => {
        if (child.pid !== undefined) endGroup(child.pid);
      };
      signal.addEventListener('abort', cancel, { once: true });
      try {
        if (signal.aborted) cancel();
        const [exitCode] = (await once(child, 'close')) as [number | null];
        signal.throwIfAborted();
        return exitCode ?? 128;
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

async function startShell(
  { log, cwd, env, outputFd }: ScriptOptions,
  file: string,
  own: Script['env'],
): Promise<ChildProcess> {
  const failures: unknown[] = [];
  for (const { program, args } of shells) {
    const child = spawn(program, [...args, file], {
      cwd,
      env: { ...withoutOverrides(env), ...own },
      stdio: ['ignore', outputFd, outputFd],
      detached: true, // its own process group, so that all of it can be ended
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      failures.push(error);
      continue;
    }
    if (program !== 'bash') log.info(`no bash here: the script is run by "${program} -e"`);
    return child;
  }
  // The system says the same of a program and of the folder that is not there.
  throw new AppError('invalid-settings', `no shell can be started in ${cwd}`, {
    cause: failures[0],
    hint: 'Scripts need bash or sh in PATH, and a working folder that is there',
    details: failures.map(messageOf),
  });
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** With these, libpq would go to another server than the variables of the script say; the last one is ours alone. */
const overrides: ReadonlySet<string> = new Set([
  ...['PGSERVICE', 'PGSERVICEFILE', 'PGHOSTADDR', 'PGOPTIONS', 'PGPASSFILE'],
  'SNAPVOL_BASE_KEY',
]);

function withoutOverrides(env: ScriptOptions['env']): ScriptOptions['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !overrides.has(name)));
}
