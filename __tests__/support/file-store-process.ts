import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface ChildTask {
  readonly verb: 'save' | 'replace' | 'load' | 'remove';
  readonly dir: string;
  readonly key: string;
  readonly bundleDir: string;
  /** Before which request to the file system the process waits or kills itself; the first is 1. */
  readonly interruptAt?: number;
  readonly interruptBy?: 'kill' | 'pause';
  /** Says `ready`, and begins when it is told to. */
  readonly waitForGo?: boolean;
  /** Options of a small disk that is mounted on `dir`, seen by the process alone and gone with it. */
  readonly tmpfs?: string;
  /** The user to be. Needs root. */
  readonly uid?: number;
}

export interface ChildReport {
  readonly outcome?: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string };
  readonly requests: number;
  /** What is in `dir` in the end. */
  readonly names: readonly string[];
}

/** A running child. It says `ready` or `interrupted`, and its report in the end. */
export interface StoreProcess {
  /** The next line the child says, parsed; `undefined` when it has ended. */
  next(): Promise<unknown>;
  /** Ends its waiting, after `ready` or a pause. */
  go(): void;
  /** Its last line, once the process is gone. A child that was killed has no report. */
  report(): Promise<ChildReport | undefined>;
}

const script = fileURLToPath(new URL('./file-store-child.ts', import.meta.url));
export const isRoot = process.getuid?.() === 0;

/** A mount namespace of its own: what is mounted there is seen there only, and goes when the process goes. */
const unshareArgs = ['--mount', ...(isRoot ? [] : ['--user', '--map-root-user'])];

export function startStoreProcess(task: ChildTask): StoreProcess {
  const node = [process.execPath, '--no-warnings', script, JSON.stringify(task)];
  const [command = '', ...args] =
    task.tmpfs === undefined ? node : ['unshare', ...unshareArgs, ...node];
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = exitOf(child);

  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    return line.done ? undefined : (JSON.parse(line.value) as unknown);
  };
  return {
    next,
    go: () => child.stdin.end('go'),
    async report() {
      let report: ChildReport | undefined;
      for (let line = await next(); line !== undefined; line = await next()) {
        // The child's own type: its script writes nothing else than words and one report.
        if (typeof line === 'object') report = line as ChildReport;
      }
      await ended;
      return report;
    },
  };
}

/** Runs a child to its end. */
export async function runStoreProcess(task: ChildTask): Promise<ChildReport | undefined> {
  return startStoreProcess(task).report();
}

/** Whether a child may have a small disk of its own here: as root, or where users may make namespaces. */
export async function canMount(): Promise<boolean> {
  const args = [...unshareArgs, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'];
  // No such program is a no as well.
  const code = await exitOf(spawn('unshare', args, { stdio: 'ignore' })).catch(() => undefined);
  return code === 0;
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  const exit: unknown[] = await once(child, 'exit');
  return exit[0];
}
