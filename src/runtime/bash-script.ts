import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { RunScript } from './script.ts';

export interface ScriptOptions {
  readonly scratchDir: string;
  readonly cwd: string;
  /** The environment around the script's own variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where its output goes: 1 or 2, ours. */
  readonly outputFd: 1 | 2;
}

/** As a `run:` step does: `bash -e -o pipefail` over a file, so that the text is in no process list. */
export function createScriptRunner({ scratchDir, cwd, env, outputFd }: ScriptOptions): RunScript {
  return async (script, signal) => {
    signal.throwIfAborted();
    const folder = await mkdtemp(join(scratchDir, 'script-'));
    try {
      const file = join(folder, 'script.sh');
      await writeFile(file, script.text, { mode: 0o600 });
      const child = spawn('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', file], {
        cwd,
        env: { ...withoutOverrides(env), ...script.env },
        stdio: ['ignore', outputFd, outputFd],
        detached: true, // its own process group, so that all of it can be ended
      });
      const cancel = (): void => {
        if (child.pid !== undefined) endGroup(child.pid);
      };
      signal.addEventListener('abort', cancel, { once: true });
      try {
        const exitCode = await new Promise<number>((resolve, reject) => {
          child.once('error', reject);
          child.once('close', (code) => {
            resolve(code ?? 128);
          });
        });
        signal.throwIfAborted();
        return exitCode;
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
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
