import { ArtifactService, type ArtifactServiceParts } from './artifact-service.ts';

/** The repository whose runs these are, as the runner of support/runner.ts has it. */
export const REPOSITORY = 'acme/shop';
const REPOSITORY_ID = 1000;
const FORK_ID = 2000;

const JOB = 'ca395085-040a-526b-2ce8-bdc85f692774';

export type Conclusion = 'success' | 'failure' | 'cancelled';

export interface RunOptions {
  /** `main` where absent. */
  readonly branch?: string;
  /** File name of its workflow; `ci.yml` where absent. */
  readonly workflow?: string;
  /** For a pull request from a fork, whose branch `branch` then is. */
  readonly fromFork?: true;
}

/** One run of a workflow: what its jobs get, and what others see of it. */
export interface WorkflowRun {
  readonly id: number;
  /** What the runner tells to the steps of the run about itself. */
  readonly env: Readonly<Record<string, string>>;
  readonly artifacts: ArtifactService;
  readonly token: string;
  readonly branch: string;
  readonly workflow: string;
  readonly headRepositoryId: number;
  readonly repositoryId: number;
  readonly createdAt: string;
  /** `undefined` while it is at work. */
  readonly conclusion: Conclusion | undefined;
}

interface Kept extends WorkflowRun {
  conclusion: Conclusion | undefined;
}

/** All runs of one repository. */
export class WorkflowRuns {
  readonly #parts: Omit<ArtifactServiceParts, 'runId' | 'nextId'>;
  #runs: Kept[] = [];
  #lastRunId = 7_000_000_000;
  #lastArtifactId = 100;

  constructor(parts: Omit<ArtifactServiceParts, 'runId' | 'nextId'>) {
    this.#parts = parts;
  }

  /** Newest first. */
  all(): readonly WorkflowRun[] {
    return this.#runs.toReversed();
  }

  start({ branch = 'main', workflow = 'ci.yml', fromFork }: RunOptions = {}): WorkflowRun {
    this.#lastRunId += 1;
    const id = this.#lastRunId;
    const backendId = `ce7f54c7-61c7-4aae-887f-${String(id).padStart(12, '0')}`;
    const token = runtimeToken(backendId);
    const run: Kept = {
      id,
      token,
      branch,
      workflow,
      repositoryId: REPOSITORY_ID,
      headRepositoryId: fromFork ? FORK_ID : REPOSITORY_ID,
      createdAt: new Date().toISOString(),
      conclusion: undefined,
      env: {
        ACTIONS_RUNTIME_TOKEN: token,
        GITHUB_RUN_ID: String(id),
        GITHUB_REF: `refs/heads/${branch}`,
      },
      artifacts: new ArtifactService({
        ...this.#parts,
        runId: backendId,
        nextId: () => (this.#lastArtifactId += 1),
      }),
    };
    this.#runs.push(run);
    return run;
  }

  conclude({ id }: WorkflowRun, conclusion: Conclusion): void {
    const run = this.#runs.find((one) => one.id === id);
    if (run === undefined) throw new Error(`there is no run ${id}`);
    run.conclusion = conclusion;
  }

  /** As when somebody deletes it. */
  remove({ id }: WorkflowRun): void {
    this.#runs = this.#runs.filter((one) => one.id !== id);
  }

  /** The run that a token of the results service is for. */
  ofToken(token: string): WorkflowRun | undefined {
    return this.#runs.find((run) => run.token === token);
  }

  /** Forgets all runs but `kept`, and what that one has. */
  clear(kept: WorkflowRun): void {
    this.#runs = this.#runs.filter((run) => run.id === kept.id);
    kept.artifacts.clear();
  }
}

/** A token as a runner gets it, as far as clients look into it: the scope names the run and the job. */
function runtimeToken(backendId: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { scp: `Actions.ExampleScope Actions.Results:${backendId}:${JOB}` };
  return `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.unsigned`;
}
