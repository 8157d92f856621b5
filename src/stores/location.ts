import { atHome } from '../paths.ts';

/** Where snapshots are kept, as the user writes it. */
export type StoreLocation = (
  | { readonly kind: 'actions-cache' }
  | ArtifactLocation
  | { readonly kind: 'file'; readonly dir: string }
) & {
  /** How long one look-up, download or upload may take; what fits the store where absent. */
  readonly timeoutMs?: number;
  /** Recipients of age, whom new snapshots are encrypted for. */
  readonly encryptTo?: readonly string[];
};

/** Snapshots are saved as artifacts of the run that is at work, wherever they are read from. */
export interface ArtifactLocation {
  readonly kind: 'artifact';
  readonly from: ArtifactSource;
  /** How long GitHub keeps what is saved; what the repository has set where undefined. */
  readonly retentionDays?: number;
}

/** The runs whose artifacts are read. */
export type ArtifactSource =
  { readonly kind: 'this-run' } | { readonly kind: 'run'; readonly runId: number } | LatestRuns;

/** This run, then the successful runs on a branch, newest first. */
export interface LatestRuns {
  readonly kind: 'latest';
  readonly branch: string;
  /** File name of the workflow whose runs count; of any workflow where undefined. */
  readonly workflow: string | undefined;
}

const forms = 'actions-cache, artifact, artifact:run=ID, artifact:latest@BRANCH, or file:DIR';

/**
 * `actions-cache`, `artifact`, `artifact:run=ID`, `artifact:latest@BRANCH[/WORKFLOW]` or `file:DIR`. Throws an Error
 * that says what is allowed.
 * @param home what `~/` stands for in DIR
 */
export function parseStore(text: string, home?: string): StoreLocation {
  if (text === 'actions-cache') return { kind: text };
  if (text === 'artifact') return { kind: text, from: { kind: 'this-run' } };
  if (text.startsWith('artifact:')) {
    return { kind: 'artifact', from: parseSource(text, text.slice('artifact:'.length)) };
  }
  if (text.startsWith('file:') && text.length > 'file:'.length) {
    return { kind: 'file', dir: atHome(text.slice('file:'.length), home) };
  }
  throw new Error(`"${text}" is not a store: ${forms}`);
}

/** The text that `parseStore` makes this source from. */
export function artifactStoreName(from: ArtifactSource): string {
  switch (from.kind) {
    case 'this-run':
      return 'artifact';
    case 'run':
      return `artifact:run=${from.runId}`;
    case 'latest':
      return `artifact:latest@${from.branch}${from.workflow === undefined ? '' : `/${from.workflow}`}`;
  }
}

function parseSource(store: string, text: string): ArtifactSource {
  const [, form, value = ''] = /^(run=|latest@)(.*)$/s.exec(text) ?? [];
  if (form === 'run=') {
    const runId = Number(value);
    if (!/^[1-9]\d*$/.test(value) || !Number.isSafeInteger(runId)) {
      throw new Error(`"${store}": a run's ID is a number, as in the address of its page`);
    }
    return { kind: 'run', runId };
  }
  if (form === 'latest@') return parseLatest(store, value);
  throw new Error(`"${store}" is not a store: after "artifact:" comes run=ID or latest@BRANCH`);
}

/** What git allows in no name of a branch, as far as it is likely to be written. */
const notInBranch = /[\s~^:?*[\\]|\.\.|\/\/|^\/|\/$/;

function parseLatest(store: string, text: string): LatestRuns {
  // Names of branches may have slashes, names of workflow files may not.
  const workflow = /(?:^|\/)([^/]+\.ya?ml)$/.exec(text)?.[1];
  const branch =
    workflow === undefined ? text : text.slice(0, Math.max(0, text.length - workflow.length - 1));
  if (branch === '')
    throw new Error(`"${store}" names no branch: latest@BRANCH or latest@BRANCH/FILE.yml`);
  if (notInBranch.test(branch)) throw new Error(`"${store}": "${branch}" is not a branch's name`);
  if (branch.startsWith('refs/')) {
    throw new Error(`"${store}": give the branch by its name alone, as in latest@main`);
  }
  return { kind: 'latest', branch, workflow };
}
