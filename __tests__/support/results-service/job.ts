import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** This process in the place of a step of a job. */
export interface Job {
  readonly workspaceDir: string;
  /** Sets a variable for as long as the job lasts; `undefined` removes it. */
  set(name: string, value: string | undefined): void;
  /** Back to the folder and the environment of before. */
  leave(): Promise<void>;
}

/** Sets a runner's variables and goes to a new workspace: the clients read the process's own, wherever they are. */
export async function enterJob(env: Readonly<Record<string, string>>): Promise<Job> {
  const workspaceDir = await realpath(await mkdtemp(join(tmpdir(), 'workspace-')));
  const before = { cwd: process.cwd(), env: new Map<string, string | undefined>() };
  const set = (name: string, value: string | undefined): void => {
    if (!before.env.has(name)) before.env.set(name, process.env[name]);
    assign(name, value);
  };
  for (const [name, value] of Object.entries(env)) set(name, value);
  set('GITHUB_WORKSPACE', workspaceDir);
  process.chdir(workspaceDir);
  return {
    workspaceDir,
    set,
    async leave() {
      process.chdir(before.cwd);
      for (const [name, value] of before.env) assign(name, value);
      await rm(workspaceDir, { recursive: true, force: true });
    },
  };
}

function assign(name: string, value: string | undefined): void {
  if (value === undefined) Reflect.deleteProperty(process.env, name);
  else process.env[name] = value;
}

const FASTER = 100;

/**
 * Runs `work` while every timer goes off a hundred times sooner. Between their tries the clients pause for seconds,
 * more than a minute in all, and nothing else can shorten that.
 */
export async function withShortPauses<T>(work: () => Promise<T>): Promise<T> {
  const original = globalThis.setTimeout;
  const sooner = (then: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown =>
    original(then, ms / FASTER, ...args);
  // The properties of the original are its promise form; the clients use the plain call only.
  globalThis.setTimeout = Object.assign<typeof sooner, typeof setTimeout>(sooner, original);
  try {
    return await work();
  } finally {
    globalThis.setTimeout = original;
  }
}
