import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

const maxBuffer = 16 * 1024 * 1024;
/** As the test has it: without being told, a child gets the one that the test runner was started with. */
const { env } = process;

/** What a docker command prints, trimmed; rejects with its complaint. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { maxBuffer, env });
  return stdout.trim();
}

/** Leaves the login in `configDir`, as the client does. */
export async function dockerLogin(
  configDir: string,
  registry: string,
  { username, password }: { readonly username: string; readonly password: string },
): Promise<void> {
  const args = ['--config', configDir, 'login', '--username', username, '--password-stdin'];
  const done = run('docker', [...args, registry], { env });
  done.child.stdin?.end(password);
  await done;
}

/** stdout and stderr of a container. */
export async function containerLog(id: string): Promise<string> {
  const { stdout, stderr } = await run('docker', ['logs', id], { maxBuffer, env });
  return stdout + stderr;
}

export interface Made {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
}

/** The names of everything that carries this label, running or not. */
export async function madeWith(label: string): Promise<Made> {
  const filter = ['--filter', `label=${label}`];
  const [containers, volumes] = await Promise.all([
    docker('ps', '--all', '--format', '{{.Names}}', ...filter),
    docker('volume', 'ls', '--quiet', ...filter),
  ]);
  return { containers: linesOf(containers), volumes: linesOf(volumes) };
}

/** The volumes behind one that a database writes to, where overlays can be mounted; in order. */
export function volumesOf(live = ''): string[] {
  return [live.replace(/-live$/, ''), live, `${live}-layer`];
}

export async function removeMadeWith(label: string): Promise<void> {
  const { containers, volumes } = await madeWith(label);
  if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers);
  if (volumes.length > 0) await docker('volume', 'rm', ...volumes);
}

/**
 * Resolves when the engine tells of the first such event of a container, or the `nth`, since `sinceMs`: one that has
 * happened meanwhile counts, too. Rejects when nobody waits for it any more.
 */
export async function containerEvent(
  action: 'create' | 'start',
  labels: readonly string[],
  sinceMs: number,
  signal: AbortSignal,
  nth = 1,
): Promise<void> {
  const filters = ['type=container', `event=${action}`, ...labels.map((label) => `label=${label}`)];
  const events = spawn(
    'docker',
    [
      ...['events', '--since', String(sinceMs / 1000), '--format', '{{.ID}}'],
      ...filters.flatMap((filter) => ['--filter', filter]),
    ],
    { env },
  );
  const end = (): void => {
    events.kill();
  };
  signal.addEventListener('abort', end);
  try {
    let seen = 0;
    for await (const line of createInterface(events.stdout)) {
      if (line !== '' && ++seen === nth) return;
    }
    throw new Error('docker events has ended');
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}

/** The purposes of all containers created since then that carry the label, in order. */
export async function purposesSince(sinceMs: number, label: string): Promise<string[]> {
  const format = '{{index .Actor.Attributes "dev.snapvol.purpose"}}';
  const until = String((Date.now() + 1) / 1000);
  const filters = ['type=container', 'event=create', `label=${label}`];
  return linesOf(
    await docker(
      ...['events', '--since', String(sinceMs / 1000), '--until', until, '--format', format],
      ...filters.flatMap((filter) => ['--filter', filter]),
    ),
  );
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
