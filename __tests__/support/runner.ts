import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { parse } from 'yaml';

import { jobScope } from '../../src/job-scope.ts';
import type { InputName } from '../../src/settings.ts';
import { madeWith, removeMadeWith, type Made } from './docker-cli.ts';
import { parseValues, StepLog } from './runner-commands.ts';

/** The parts of action.yml that a runner reads. */
interface ActionFile {
  readonly inputs: Readonly<Record<string, { readonly default?: string } | undefined>>;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly runs: { readonly using: string; readonly main: string; readonly post?: string };
}

/** The checkout whose action is run: this one, unless the tests are to judge another. */
const root = process.env['SNAPVOL_ACTION'] ?? resolve(import.meta.dirname, '../..');
export const action = readAction('.');

function readAction(folder: string): ActionFile {
  // A cast: the unit tests look at the whole of these files.
  return parse(readFileSync(join(root, folder, 'action.yml'), 'utf8')) as ActionFile;
}

type Variables = Readonly<Record<string, string>>;
export type Inputs = Readonly<
  Partial<Record<InputName | 'token' | 'identity' | 'passphrase' | 'upload', string>>
>;

/** A folder with an action of its own. */
export type SubAction = 'save' | 'restore' | 'reset';

export interface JobOptions {
  /** Of a service for the clients of GitHub, or anything else that the job's steps see. */
  readonly env?: Variables;
  readonly event?: { readonly name: string; readonly payload: object };
  /** The run that the job belongs to; one of its own where absent. */
  readonly runId?: string;
  /** `github.token` of the job. */
  readonly token?: string;
}

export interface StepOptions {
  readonly env?: Variables;
  /** Runs the step as this user. */
  readonly uid?: number | undefined;
  /** Sends the signal when a line of the output matches, or when the promise resolves. */
  readonly interrupt?: {
    readonly signal: NodeJS.Signals;
    /** The promise's own signal: the step has ended before. */
    readonly when: RegExp | ((ended: AbortSignal) => Promise<void>);
  };
}

/** How one phase of a step ended. */
export interface Phase {
  /** `null`: ended by a signal. */
  readonly exitCode: number | null;
  readonly outputs: Variables;
  readonly state: Variables;
  /** Its part of the job summary. */
  readonly summary: string;
  /** What people see of it, masks applied. */
  readonly log: string;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly masks: readonly string[];
}

export interface Step extends Phase {
  /** The label value of everything that the step made; undefined where it did not get that far. */
  readonly run: string | undefined;
  /** Ends the job, as it stands by then. */
  post(jobStatus?: 'success' | 'cancelled'): Promise<Phase>;
}

export interface Leftovers extends Made {
  readonly files: readonly string[];
}

/** Of every job. */
const repository = 'acme/shop';

/** Where the jobs of a repository keep their snapshots in a folder that they are given as store. */
export function storeOfJobs(dir: string): string {
  return join(dir, repository);
}

export const nothing: Leftovers = { containers: [], volumes: [], files: [] };

/** A job as GitHub's runner makes it: with its own folders, and steps that run the committed action. */
export interface Job extends AsyncDisposable {
  readonly workspaceDir: string;
  /** `label=value`, on everything that the steps of this job make. */
  readonly label: string;
  readonly startMs: number;
  step(inputs: Inputs, options?: StepOptions): Promise<Step>;
  /** The same for a sub-action, which has no post phase. */
  subStep(name: SubAction, inputs: Variables, options?: StepOptions): Promise<Phase>;
  /** What the job's steps have left: containers and volumes by label, and temporary files. */
  leftovers(): Promise<Leftovers>;
}

export async function startJob({
  env = {},
  event,
  runId = String(randomInt(1e9, 1e12)),
  token = '',
}: JobOptions = {}): Promise<Job> {
  const startMs = Date.now();
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'snapvol-job-')));
  const folder = async (name: string): Promise<string> => {
    const path = join(dir, name);
    await mkdir(path);
    await chmod(path, 0o777); // steps may run as another user
    return path;
  };
  await chmod(dir, 0o755);
  const [workspaceDir, tempDir, commandDir] = await Promise.all(
    ['workspace', 'temp', 'commands'].map(folder),
  );
  if (workspaceDir === undefined || tempDir === undefined || commandDir === undefined) {
    throw new Error('a job has three folders');
  }
  const eventPath = join(commandDir, 'event.json');
  await writeFile(eventPath, JSON.stringify(event?.payload ?? {}));
  const jobEnv: Variables = {
    ...inherited(['PATH', 'HOME', 'DOCKER_HOST', 'DOCKER_CONFIG', 'DOCKER_CONTEXT']),
    ...env,
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_EVENT_NAME: event?.name ?? 'push',
    GITHUB_EVENT_PATH: eventPath,
    GITHUB_JOB: 'test',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REPOSITORY: repository,
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: runId,
    GITHUB_SHA: '5f2b1c9e1f0f4a8f9d4b0a7e6c3d2b1a09f8e7d6',
    GITHUB_WORKSPACE: workspaceDir,
    RUNNER_NAME: 'runner',
    RUNNER_TEMP: tempDir,
  };
  const label = `dev.snapvol.scope=${jobScope(jobEnv)}`;
  let phases = 0;

  /** Runs one script of the action with files of its own for its outputs and its state. */
  async function runPhase(
    script: string,
    variables: Variables,
    { uid, interrupt }: StepOptions = {},
  ): Promise<Phase> {
    const files = ['OUTPUT', 'STATE', 'ENV', 'PATH', 'STEP_SUMMARY'].map((name) => ({
      variable: `GITHUB_${name}`,
      path: join(commandDir ?? '', `${phases}-${name.toLowerCase()}`),
    }));
    phases += 1;
    for (const { path } of files) {
      await writeFile(path, '');
      await chmod(path, 0o666);
    }
    const paths = Object.fromEntries(files.map(({ variable, path }) => [variable, path]));
    const child = spawn(process.execPath, [join(root, script)], {
      cwd: workspaceDir,
      env: { ...jobEnv, ...paths, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid !== undefined && { uid, gid: uid }),
    });
    const log = new StepLog();
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        log.add(line);
        if (interrupt?.when instanceof RegExp && interrupt.when.test(line)) {
          child.kill(interrupt.signal);
        }
      });
    }
    const closed = once(child, 'close');
    if (interrupt && !(interrupt.when instanceof RegExp)) {
      const { when, signal } = interrupt;
      const ended = new AbortController();
      await Promise.race([closed, when(ended.signal).then(() => child.kill(signal))]);
      ended.abort();
    }
    const [exitCode] = (await closed) as [number | null];
    const read = (name: string): Promise<string> => readFile(paths[`GITHUB_${name}`] ?? '', 'utf8');
    const { text, errors, warnings, masks } = log;
    return {
      exitCode,
      outputs: parseValues(await read('OUTPUT')),
      state: parseValues(await read('STATE')),
      summary: await read('STEP_SUMMARY'),
      ...{ log: text, errors, warnings, masks },
    };
  }

  return {
    workspaceDir,
    label,
    startMs,

    async step(inputs, options = {}) {
      // What tests seed takes no time, so that "auto" would seldom save it.
      const given = { save: 'true', ...inputs };
      const variables = { ...inputVariables(action, given, token), ...options.env };
      const main = await runPhase(action.runs.main, variables, options);
      const state = Object.entries(main.state).map(([name, value]) => [`STATE_${name}`, value]);
      const postVariables = { ...variables, ...(Object.fromEntries(state) as Variables) };
      return {
        ...main,
        run: runOf(main.state),
        post: (jobStatus = 'success') =>
          runPhase(action.runs.post ?? '', { ...postVariables, 'INPUT_JOB-STATUS': jobStatus }),
      };
    },

    subStep(name, inputs, options = {}) {
      const sub = readAction(name);
      const variables = { ...inputVariables(sub, inputs, token), ...options.env };
      return runPhase(join(name, sub.runs.main), variables, options);
    },

    async leftovers() {
      return { ...(await madeWith(label)), files: await filesIn(tempDir) };
    },

    async [Symbol.asyncDispose]() {
      await removeMadeWith(label); // of a test that has failed
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Inputs with their defaults, as environment variables. */
function inputVariables(
  { inputs: known }: ActionFile,
  given: Readonly<Record<string, string | undefined>>,
  token: string,
): Variables {
  const unknown = Object.keys(given).filter((name) => !(name in known));
  if (unknown.length > 0) throw new Error(`action.yml has no input ${unknown.join(', ')}`);
  return Object.fromEntries(
    Object.entries(known).map(([name, input]) => [
      `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`,
      (given[name] ?? input?.default ?? '').replaceAll('${{ github.token }}', token),
    ]),
  );
}

function runOf(state: Variables): string | undefined {
  const saved = state['snapvol'];
  // A cast: the action's own state, which post reads in the same way.
  return saved === undefined ? undefined : (JSON.parse(saved) as { run: string }).run;
}

/** What there is but the folders of GitHub's cache client, which are named by a UUID and left to the runner. */
export async function filesIn(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter(
    (name) => !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name),
  );
}

function inherited(names: readonly string[]): Variables {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}
