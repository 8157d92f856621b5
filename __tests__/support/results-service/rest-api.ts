import type { IncomingMessage, ServerResponse } from 'node:http';

import type { StoredArtifact } from './artifact-service.ts';
import type { Fault, Faults, RestEndpoint } from './faults.ts';
import { REPOSITORY, type WorkflowRun, type WorkflowRuns } from './workflow-runs.ts';

/** As on a GitHub Enterprise server, so that nobody gets along with the root of the host. */
export const REST_PATH = '/api/v3';

/** What GITHUB_TOKEN is in a job that has `actions: read`. */
export const REST_TOKEN = 'ghs_0123456789abcdefghijklmnopqrstuvwxyz';

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Route {
  readonly endpoint: RestEndpoint;
  readonly path: RegExp;
  readonly answer: (runs: WorkflowRuns, match: RegExpExecArray, url: URL, fault?: Fault) => Answer;
}

const base = `${REST_PATH}/repos/${REPOSITORY}/actions`;

/** https://docs.github.com/rest/actions/workflow-runs and https://docs.github.com/rest/actions/artifacts */
const routes: readonly Route[] = [
  {
    endpoint: 'rest:list-runs',
    path: new RegExp(`^${base}(?:/workflows/([^/]+))?/runs$`),
    answer(runs, [, workflow], url, fault) {
      const file = workflow && decodeURIComponent(workflow);
      if (file !== undefined && !runs.all().some((run) => run.workflow === file)) return notFound;
      const { branch, status } = Object.fromEntries(url.searchParams);
      const found = runs
        .all()
        .filter((run) => file === undefined || run.workflow === file)
        .filter((run) => branch === undefined || run.branch === branch)
        .filter(({ conclusion }) => status === undefined || conclusion === status);
      return page(url, 'workflow_runs', found.map(runBody), fault);
    },
  },
  {
    endpoint: 'rest:list-run-artifacts',
    path: new RegExp(`^${base}/runs/(\\d+)/artifacts$`),
    answer(runs, [, id], url, fault) {
      const run = runs.all().find((one) => String(one.id) === id);
      return run ? page(url, 'artifacts', artifactsOf([run], url), fault) : notFound;
    },
  },
  {
    endpoint: 'rest:list-artifacts',
    path: new RegExp(`^${base}/artifacts$`),
    answer: (runs, _, url, fault) => page(url, 'artifacts', artifactsOf(runs.all(), url), fault),
  },
  {
    endpoint: 'rest:download-artifact',
    path: new RegExp(`^${base}/artifacts/(\\d+)/zip$`),
    answer(runs, [, id]) {
      for (const run of runs.all()) {
        const artifact = run.artifacts.artifacts().find((one) => String(one.id) === id);
        if (artifact === undefined) continue;
        const location = run.artifacts.downloadUrl(artifact);
        if (location === undefined)
          return { status: 410, body: { message: 'Artifact has expired' } };
        return { status: 302, body: '', headers: { location } };
      }
      return notFound;
    },
  },
];

const notFound: Answer = { status: 404, body: { message: 'Not Found' } };

/** GitHub's REST API, as far as it tells of runs and their artifacts. */
export async function answerRest(
  runs: WorkflowRuns,
  url: URL,
  faults: Faults,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  for (const { endpoint, path, answer } of routes) {
    const match = path.exec(url.pathname);
    if (match === null || request.method !== 'GET') continue;
    const fault = await faults.take(endpoint, 'GET');
    if (fault?.kind === 'reset') {
      request.socket.resetAndDestroy();
      return;
    }
    send(
      response,
      answerWith(fault, request, () => answer(runs, match, url, fault)),
      fault,
    );
    return;
  }
  send(response, notFound, undefined);
}

function answerWith(
  fault: Fault | undefined,
  { headers }: IncomingMessage,
  answer: () => Answer,
): Answer {
  if (fault?.kind === 'status') {
    const seconds = fault.retryAfterSeconds;
    const retryAfter = seconds === undefined ? {} : { 'retry-after': String(seconds) };
    const body = { message: 'fault asked for by the test' };
    return { status: fault.status, body, headers: { ...retryAfter, ...fault.headers } };
  }
  if (headers.authorization !== `token ${REST_TOKEN}`) {
    return { status: 401, body: { message: 'Bad credentials' } };
  }
  return answer();
}

function send(response: ServerResponse, { status, body, headers }: Answer, fault?: Fault): void {
  const whole = Buffer.from(JSON.stringify(body));
  const bytes = fault?.kind === 'shorten' ? whole.subarray(0, fault.toBytes) : whole;
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    ...headers,
  });
  response.end(bytes);
}

/** One page of a list, with the way to the next one where there is one. */
function page(url: URL, field: string, items: readonly unknown[], fault?: Fault): Answer {
  const size = Math.min(100, Number(url.searchParams.get('per_page') ?? 30));
  const number = Number(url.searchParams.get('page') ?? 1);
  const next = new URL(url);
  next.searchParams.set('page', String(number + 1));
  const link = `<${next.href}>; rel="next", <${next.href}>; rel="last"`;
  return {
    status: 200,
    body: {
      total_count: fault?.kind === 'total' ? fault.count : items.length,
      [field]: items.slice((number - 1) * size, number * size),
    },
    ...(number * size < items.length && { headers: { link } }),
  };
}

function runBody(run: WorkflowRun): object {
  return {
    id: run.id,
    head_branch: run.branch,
    path: `.github/workflows/${run.workflow}`,
    status: run.conclusion === undefined ? 'in_progress' : 'completed',
    conclusion: run.conclusion ?? null,
    created_at: run.createdAt,
    repository: { id: run.repositoryId, full_name: REPOSITORY },
    head_repository: { id: run.headRepositoryId },
  };
}

/** Newest first, as GitHub lists them. */
function artifactsOf(runs: readonly WorkflowRun[], url: URL): object[] {
  const name = url.searchParams.get('name');
  return runs
    .flatMap((run) => run.artifacts.artifacts().map((artifact) => ({ run, artifact })))
    .filter(({ artifact }) => name === null || artifact.name === name)
    .toSorted((a, b) => b.artifact.id - a.artifact.id)
    .map(({ run, artifact }) => artifactBody(run, artifact));
}

function artifactBody(run: WorkflowRun, artifact: StoredArtifact): object {
  return {
    id: artifact.id,
    name: artifact.name,
    size_in_bytes: artifact.sizeBytes,
    expired: artifact.expired,
    digest: artifact.digest,
    created_at: artifact.createdAt,
    expires_at: artifact.expiresAt,
    workflow_run: {
      id: run.id,
      repository_id: run.repositoryId,
      head_repository_id: run.headRepositoryId,
      head_branch: run.branch,
    },
  };
}
