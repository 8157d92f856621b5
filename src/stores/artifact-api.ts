import { apiError } from './artifact-api-errors.ts';
import { orCancelled, throwIfCancelled } from './client-call.ts';
import type { LatestRuns } from './location.ts';

/** An artifact as GitHub's API lists it. */
export interface ListedArtifact {
  readonly id: number;
  readonly name: string;
  readonly runId: number | undefined;
  /** `sha256:...` of the whole archive, where GitHub knows it. */
  readonly digest: string | undefined;
}

export interface Listing<T> {
  readonly items: readonly T[];
  /** False where the list goes on after what was read of it. */
  readonly complete: boolean;
}

export interface ApiAccess {
  readonly owner: string;
  readonly repo: string;
  readonly token: string;
}

/** What is asked of GitHub's API. Every method fails with `store-unavailable`, or `cancelled`. */
export interface ActionsApi {
  /**
   * Ids of successful runs on a branch of this repository, newest first, at most `limit` of them. A run for a pull
   * request from a fork has the name of the fork's branch, which may be the same: such runs are left out.
   */
  successfulRuns(from: LatestRuns, limit: number, signal: AbortSignal): Promise<readonly number[]>;
  /** What a run has, newest first. `name` leaves out all others. Where there is no such run, the error `isAbsent`. */
  artifactsOfRun(
    runId: number,
    name: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly ListedArtifact[]>;
  /** The artifacts of this name in all runs. Expired ones are in none of these lists. */
  artifactsNamed(name: string, signal: AbortSignal): Promise<Listing<ListedArtifact>>;
}

const PER_PAGE = 100;
/** Enough for the runs that are wanted among those of forks, and for the artifacts of any run. */
const MAX_PAGES = 5;
/** For one answer, which is a page of a list. */
const ANSWER_LIMIT_MS = 30_000;

type Fields = Readonly<Record<string, unknown>>;

interface Question<T> {
  /** `could not ...`, for errors. */
  readonly what: string;
  /** What is not there when the answer is 404, for errors. */
  readonly absent: string;
  readonly route: string;
  readonly parameters: Fields;
  /** The field of the answer that has the list. */
  readonly field: string;
  /** An item, `undefined` for one that is not wanted. */
  readonly parse: (item: Fields) => T | undefined;
  readonly limit?: number;
}

/** GitHub's REST API for one repository, at the address that the runner's GITHUB_API_URL names. */
export function createActionsApi({ owner, repo, token }: ApiAccess): ActionsApi {
  const repository = `${owner}/${repo}`;

  async function list<T>(question: Question<T>, signal: AbortSignal): Promise<Listing<T>> {
    const { route, field, parse, limit = Infinity } = question;
    const items: T[] = [];
    for (let page = 1; page <= MAX_PAGES; page += 1) {
      const parameters = { owner, repo, ...question.parameters, per_page: PER_PAGE, page };
      const answer = await asking(
        question,
        () => askForPage(token, route, parameters, field, signal),
        signal,
      );
      for (const item of answer.items) {
        const parsed = parse(item);
        if (parsed !== undefined) items.push(parsed);
      }
      // Not by the answer's total_count, which need not agree with the list.
      if (!answer.hasNext || items.length >= limit) return { items, complete: !answer.hasNext };
    }
    return { items, complete: false };
  }

  return {
    async successfulRuns({ branch, workflow }, limit, signal) {
      const ofWorkflow = workflow === undefined ? '' : `/workflows/${encodeURIComponent(workflow)}`;
      const question: Question<number> = {
        what: `could not list the runs on ${branch} of ${repository}`,
        absent:
          workflow === undefined
            ? `there is no repository ${repository}`
            : `there is no workflow ${workflow} in ${repository}`,
        route: `GET /repos/{owner}/{repo}/actions${ofWorkflow}/runs`,
        parameters: { branch, status: 'success', exclude_pull_requests: true },
        field: 'workflow_runs',
        parse: (run) => (isOwnSuccess(run, branch) ? idOf(run) : undefined),
        limit,
      };
      const { items } = await list(question, signal);
      return newestFirst(items, (id) => id).slice(0, limit);
    },

    async artifactsOfRun(runId, name, signal) {
      const question: Question<ListedArtifact> = {
        what: `could not list the artifacts of run ${runId} of ${repository}`,
        absent: 'there is no such run',
        route: 'GET /repos/{owner}/{repo}/actions/runs/{run_id}/artifacts',
        parameters: { run_id: runId, ...(name !== undefined && { name }) },
        field: 'artifacts',
        parse: (item) => parseArtifact(item, name),
      };
      const { items } = await list(question, signal);
      return newestFirst(items, ({ id }) => id);
    },

    artifactsNamed(name, signal) {
      const question: Question<ListedArtifact> = {
        what: `could not look for artifacts of ${repository}`,
        absent: `there is no repository ${repository}`,
        route: 'GET /repos/{owner}/{repo}/actions/artifacts',
        parameters: { name },
        field: 'artifacts',
        parse: (item) => parseArtifact(item, name),
      };
      return list(question, signal);
    },
  };
}

/** One question, with every failure an AppError. */
export async function asking<T>(
  { what, absent }: Pick<Question<T>, 'what' | 'absent'>,
  ask: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  throwIfCancelled(signal);
  try {
    return await orCancelled(ask(), signal);
  } catch (error) {
    throwIfCancelled(signal);
    throw apiError(what, absent, error);
  }
}

interface Page {
  readonly items: readonly Fields[];
  readonly hasNext: boolean;
}

async function askForPage(
  token: string,
  route: string,
  parameters: Fields,
  field: string,
  signal: AbortSignal,
): Promise<Page> {
  const { getOctokit } = await import('@actions/github');
  const stop = new AbortController();
  const timer = setTimeout(() => {
    stop.abort(new Error(`no answer within ${ANSWER_LIMIT_MS / 1000} s`));
  }, ANSWER_LIMIT_MS);
  try {
    const request = { signal: AbortSignal.any([signal, stop.signal]) };
    const answer = await getOctokit(token).request(route, { ...parameters, request });
    const data: unknown = answer.data;
    const items = isFields(data) ? data[field] : undefined;
    // The client gives half an answer out as text.
    if (!Array.isArray(items)) throw new Error('the answer is damaged');
    return {
      items: items.filter(isFields),
      hasNext: /\brel="next"/.test(answer.headers.link ?? ''),
    };
  } finally {
    clearTimeout(timer);
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function idOf(value: unknown): number | undefined {
  return isFields(value) && typeof value['id'] === 'number' ? value['id'] : undefined;
}

function newestFirst<T>(items: readonly T[], id: (item: T) => number): readonly T[] {
  // Ids grow, so the greatest is the newest.
  return items.toSorted((a, b) => id(b) - id(a));
}

/** What was asked for, looked at again: data that anybody can offer must not get in through a filter that failed. */
function isOwnSuccess(run: Fields, branch: string): boolean {
  const repository = idOf(run['repository']);
  return (
    run['conclusion'] === 'success' &&
    run['head_branch'] === branch &&
    repository !== undefined &&
    idOf(run['head_repository']) === repository
  );
}

function parseArtifact(item: Fields, name: string | undefined): ListedArtifact | undefined {
  const id = idOf(item);
  if (id === undefined || typeof item['name'] !== 'string' || item['expired'] !== false) {
    return undefined;
  }
  if (name !== undefined && item['name'] !== name) return undefined;
  const digest = typeof item['digest'] === 'string' ? item['digest'] : undefined;
  return { id, name: item['name'], digest, runId: idOf(item['workflow_run']) };
}
