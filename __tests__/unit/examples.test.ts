import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { parseArguments } from '../../src/cli/args.ts';
import { snapvolCalls } from '../support/snapvol-lines.ts';

const root = resolve(import.meta.dirname, '../..');
const find = (pattern: string): string[] => globSync(pattern, { cwd: root }).sort();
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Action {
  readonly inputs: Readonly<Record<string, { readonly required?: boolean } | undefined>>;
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** All steps in a YAML document, wherever they are: a workflow's, a list of them, one alone. */
function stepsIn(node: unknown): Step[] {
  if (typeof node !== 'object' || node === null) return [];
  const own = 'uses' in node ? [node as Step] : [];
  return [...own, ...Object.values(node).flatMap(stepsIn)];
}

/** The YAML blocks of a page. */
function yamlBlocks(file: string): string[] {
  return [...read(file).matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, block = '']) => block);
}

/** What is wrong with the inputs, and with what is read of the outputs, of the steps that use this project. */
function problemsOf(yaml: string): string[] {
  return stepsIn(parse(yaml)).flatMap(({ id, uses = '', with: given = {} }) => {
    const [, folder] = /^snapvol\/snapvol(\/[\w-]+)?@v1$/.exec(uses) ?? [];
    if (!uses.startsWith('snapvol/')) return [];
    if (folder === undefined && uses !== 'snapvol/snapvol@v1') return [`${uses}: not of v1`];
    // A cast: an action that is not like this fails the tests of its own inputs.
    const { inputs, outputs } = parse(read(join('.', folder ?? '', 'action.yml'))) as Action;
    const unknown = Object.keys(given).filter((name) => !(name in inputs));
    const missing = Object.keys(inputs).filter(
      (name) => inputs[name]?.required === true && !(name in given),
    );
    const used = [...yaml.matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)]
      .filter(([, step]) => step === id)
      .map(([, , name = '']) => name);
    return [
      ...unknown.map((name) => `${uses}: there is no input ${name}`),
      ...used
        .filter((name) => !(name in outputs))
        .map((name) => `${uses}: there is no output ${name}`),
      ...missing.map((name) => `${uses}: ${name} is missing`),
    ];
  });
}

describe('the inputs and outputs of a step', () => {
  test.each([
    ['a wrong name', 'snapvol/snapvol@v1', '{ imagee: a }', 'no input imagee'],
    ['a missing one', 'snapvol/snapvol/restore@v1', '{ rename: a=b }', 'key is missing'],
    ['another version', 'snapvol/snapvol/save@v0', '{ key: a }', 'not of v1'],
  ])('are looked at: %s', (_what, uses, inputs, problem) => {
    const [found] = problemsOf(`- { uses: ${uses}, with: ${inputs} }`);
    expect(found).toContain(problem);
  });

  test('are looked at: a wrong name of an output', () => {
    const step = (name: string) =>
      `[{ uses: snapvol/snapvol@v1, id: db }, { run: '\${{ steps.db.outputs.${name} }}' }]`;
    expect(problemsOf(step('urlz'))).toEqual([expect.stringContaining('no output urlz')]);
    expect(problemsOf(step('urls'))).toEqual([]);
  });
});

test.each(find('examples/*.yml'))('%s names the inputs and outputs that there are', (file) => {
  const yaml = read(file);
  expect(stepsIn(parse(yaml)).map(({ uses }) => uses)).toContainEqual(
    expect.stringMatching(/^snapvol\//),
  );
  expect(problemsOf(yaml)).toEqual([]);
});

test.each(find('{*.md,docs/*.md,*/README.md}').filter((file) => yamlBlocks(file).length > 0))(
  '%s names the inputs and outputs that there are',
  (file) => {
    expect(yamlBlocks(file).flatMap(problemsOf)).toEqual([]);
  },
);

test.each(['save', 'restore', 'reset'])(
  '%s/README.md has one example, of its own action',
  (folder) => {
    const [, yaml = ''] =
      /<!-- example -->\n\n```yaml\n([^]*?)```/.exec(read(`${folder}/README.md`)) ?? [];
    expect(stepsIn(parse(yaml)).map(({ uses }) => uses)).toEqual([`snapvol/snapvol/${folder}@v1`]);
  },
);

/** @throws for a call that the tool does not understand */
function commandsIn(script: string): string[] {
  return snapvolCalls(script).map((argv) => {
    const invocation = parseArguments(argv);
    return invocation.kind === 'command' ? invocation.command.name : invocation.kind;
  });
}

/** The strings of a program in JavaScript or Python, in which a command may stand. */
function stringsIn(program: string): string[] {
  return [...program.matchAll(/"""([^]*?)"""|(['"`])([^\n]*?)\2/g)].map(
    ([, lines, , string]) => lines ?? string ?? '',
  );
}

describe('calls of snapvol in a script', () => {
  test('are found and taken apart', () => {
    const script = [
      `# snapvol in a comment`,
      `URL=$(snapvol start a \\`,
      `  --seed 'x && y' --image "b") # snapvol again`,
      `trap 'npx snapvol stop a' EXIT; echo .snapvol`,
    ].join('\n');
    expect(snapvolCalls(script)[0]).toEqual(['start', 'a', '--seed', 'x && y', '--image', 'b']);
    expect(() => commandsIn('snapvol save a --no-such-flag')).toThrow('--no-such-flag');
  });
});

/** What reads a program, by the end of its name, and does not run it. */
const readers: Readonly<Record<string, readonly string[]>> = {
  '.sh': ['bash', '-n'],
  '.py': ['python3', '-c', 'import ast, sys; ast.parse(open(sys.argv[1]).read())'],
  '.cjs': [process.execPath, '--check'],
  '.mjs': [process.execPath, '--check'],
};

/** Every program among the examples, and what it calls of the tool. */
const programs: Readonly<Record<string, readonly string[]>> = {
  'examples/database-per-worker.sh': ['start', 'stop'],
  'examples/jest/jest.config.cjs': [],
  'examples/jest/reset-database.cjs': ['reset'],
  'examples/jest/worker-database.cjs': [],
  'examples/laptop.sh': ['start', 'stop'],
  'examples/playwright/playwright.config.mjs': [],
  'examples/playwright/reset-database.mjs': ['reset'],
  'examples/playwright/test.sh': ['start', 'stop'],
  'examples/pytest/conftest.py': ['start', 'clone', 'stop', 'reset'],
  'examples/shell.sh': ['save', 'restore', 'prune', 'verify'],
  'examples/vitest/reset-database.mjs': ['reset'],
  'examples/vitest/vitest.config.mjs': [],
  'examples/vitest/worker-database.mjs': [],
};

test('every program among the examples is looked at', () => {
  expect(find('examples/**/*.{sh,py,*js}')).toEqual(Object.keys(programs));
});

describe.each(Object.entries(programs))('%s', (file, commands) => {
  test('can be read by what runs it', () => {
    const [program = '', ...args] = readers[extname(file)] ?? [];
    execFileSync(program, [...args, join(root, file)], { stdio: 'pipe' });
  });

  test('calls the tool as it is', () => {
    const text = read(file);
    const scripts = file.endsWith('.sh') ? [text] : stringsIn(text);
    expect(scripts.flatMap(commandsIn)).toEqual(commands);
  });
});

test('examples/gitlab/.gitlab-ci.yml calls the tool as it is', () => {
  interface Scripts {
    readonly before_script: readonly string[];
    readonly script: readonly string[];
    readonly after_script: readonly string[];
  }
  const { test: job } = parse(read('examples/gitlab/.gitlab-ci.yml')) as { test: Scripts };
  const lines = [...job.before_script, ...job.script, ...job.after_script];
  expect(lines.flatMap(commandsIn)).toEqual(['start', 'prune']);
});
