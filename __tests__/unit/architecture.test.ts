import { globSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { ESLint } from 'eslint';
import ts from 'typescript';
import tseslint from 'typescript-eslint';

const root = resolve(import.meta.dirname, '../..');

/** What each layer may import, itself included. `:interface` is what a folder shows to others. */
const interfaces = ['engines:interface', 'runtime:interface', 'stores:interface'];
const edge = [
  'base',
  'snapshot',
  'settings',
  'store-settings',
  'volume-settings',
  'compose',
  'usecases',
  ...interfaces,
];
const settingParts = ['setting-values', 'settings-reader', 'store-settings'];
const allowed: Readonly<Record<string, readonly string[]>> = {
  base: ['base'],
  snapshot: ['base', 'snapshot'],
  'runtime:tar': ['base', 'snapshot', 'runtime:tar'],
  'runtime:interface': ['base', 'snapshot', 'runtime:tar', 'runtime:interface'],
  'stores:interface': ['base', 'snapshot', 'stores:interface'],
  'engines:interface': ['base', 'snapshot', ...interfaces],
  runtime: ['base', 'snapshot', 'runtime', 'runtime:tar', 'runtime:interface'],
  stores: ['base', 'snapshot', 'stores', 'stores:interface'],
  engines: ['base', 'snapshot', 'engines', ...interfaces],
  settings: ['base', 'snapshot', 'engines:table', ...settingParts, ...interfaces],
  'volume-settings': ['base', 'snapshot', 'settings', ...settingParts, ...interfaces],
  'store-settings': ['base', 'snapshot', ...settingParts, ...interfaces],
  'settings-reader': ['base'],
  'setting-values': ['base', 'snapshot', ...interfaces],
  'engines:table': ['base', 'snapshot', 'engines', ...interfaces],
  usecases: ['base', 'snapshot', 'settings', 'usecases', ...interfaces],
  compose: [
    'base',
    'snapshot',
    'settings',
    'runtime',
    'stores',
    'engines',
    'engines:table',
    'usecases',
    ...interfaces,
  ],
  action: [...edge, 'action'],
  cli: [...edge, 'setting-values', 'cli'],
  index: edge,
  program: ['base', 'runtime', 'runtime:tar'],
  bundle: ['index', 'action', 'cli', 'program'],
};

const interfaceFiles = [
  'engines/engine.ts',
  'runtime/runtime.ts',
  'runtime/fresh.ts',
  'runtime/health.ts',
  'runtime/host-folder.ts',
  'runtime/idle-container.ts',
  'runtime/labels.ts',
  'runtime/plain-archiver.ts',
  'runtime/small-tar.ts',
  'runtime/staging.ts',
  'runtime/script.ts',
  'runtime/volume-cloner.ts',
  'runtime/volume-copier.ts',
  'stores/location.ts',
  'stores/store.ts',
];

/** The format of tar, and nothing of containers. */
const tarFiles = /^runtime\/tar-(extension|head|header|path|reader|sparse)\.ts$/;

/** Which files may import which package. A package that is not here needs a row, and a reason in CONTRIBUTING. */
const packages: Readonly<Record<string, RegExp>> = {
  '@actions/artifact': /^(action\/|stores\/artifact)/,
  '@actions/cache': /^(action\/|stores\/actions-cache)/,
  '@actions/core': /^(action\/|stores\/(actions-cache|artifact))/,
  '@actions/github': /^(action\/|stores\/artifact)/,
  '@actions/glob': /^action\//,
  'age-encryption': /^stores\/age/,
  dockerode: /^runtime\/docker/,
  'docker-modem': /^runtime\/docker/,
  valibot: /^snapshot\//,
};

interface Import {
  readonly from: string;
  readonly to: string;
  /** Loaded at start: neither a type nor an `import()`. */
  readonly eager: boolean;
}

const files = globSync('**/*.ts', { cwd: join(root, 'src') }).sort();
const imports = files.flatMap(importsOf);

function importsOf(from: string): Import[] {
  const text = readFileSync(join(root, 'src', from), 'utf8');
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, eager: boolean): void => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) {
      found.push({ from, to: target(from, specifier.text), eager });
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, !node.isTypeOnly);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(from, text, ts.ScriptTarget.Latest));
  return found;
}

/** A path inside src for a relative import, else the specifier. */
function target(from: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : specifier;
}

const baseFiles = [
  'errors.ts',
  'aftermath.ts',
  'log.ts',
  'clock.ts',
  'docker-config.ts',
  'format.ts',
  'json.ts',
  'paths.ts',
  'registry-login.ts',
  'job-scope.ts',
  'process-identity.ts',
  'scratch.ts',
  'version.ts',
];

function layerOf(file: string): string {
  if (baseFiles.includes(file)) return 'base';
  if (file === 'engines/index.ts') return 'engines:table';
  if (file.endsWith('-program.ts')) return 'program';
  if (tarFiles.test(file)) return 'runtime:tar';
  const [name = ''] = file.replace(/\.ts$/, '').split('/');
  return interfaceFiles.includes(file) ? `${name}:interface` : name;
}

const isOurs = ({ to }: Import): boolean => to.endsWith('.ts');
const isPackage = (to: Import): boolean => !isOurs(to) && !to.to.startsWith('node:');
const show = ({ from, to }: Import): string => `${from} -> ${to}`;

describe('the import graph of src', () => {
  test('has files, imports between them, and imports of packages', () => {
    expect(imports.some(isOurs)).toBe(true);
    expect(imports.some(isPackage)).toBe(true);
  });

  test('has no file outside the known layers', () => {
    expect(files.filter((file) => !(layerOf(file) in allowed))).toEqual([]);
  });

  test('goes in one direction', () => {
    const wrong = imports
      .filter(isOurs)
      .filter(({ from, to }) => allowed[layerOf(from)]?.includes(layerOf(to)) !== true);
    expect(wrong.map(show)).toEqual([]);
  });

  test('uses packages only where they belong', () => {
    const wrong = imports
      .filter(isPackage)
      .filter(({ from, to }) => packages[to]?.test(from) !== true);
    expect(wrong.map(show)).toEqual([]);
  });

  test.each(['bundle.ts', 'cli/main.ts', 'index.ts'])(
    '%s starts without dockerode and the packages of GitHub',
    (start) => {
      const reached = new Set([start]);
      for (const file of reached) {
        for (const { from, to, eager } of imports) if (eager && from === file) reached.add(to);
      }
      expect([...reached].filter((each) => /^(dockerode|@actions\/)/.test(each))).toEqual([]);
    },
  );
});

describe('the lint rules', () => {
  const eslint = new ESLint({ cwd: root, overrideConfig: tseslint.configs.disableTypeChecked });

  async function findings(file: string, code: string): Promise<string[]> {
    const [result] = await eslint.lintText(`${code}\n`, { filePath: join(root, 'src', file) });
    return (result?.messages ?? [])
      .filter(({ ruleId }) => ruleId === null || ruleId.startsWith('no-restricted'))
      .map(({ message }) => message);
  }

  test.each([
    ['errors.ts', `export * from './settings.ts';`],
    ['snapshot/key.ts', `export * from '../engines/engine.ts';`],
    ['engines/postgres.ts', `export * from '../runtime/docker.ts';`],
    ['engines/postgres.ts', `export * from 'valibot';`],
    ['runtime/volume-pipe.ts', `export * from '../stores/store.ts';`],
    ['runtime/volume-pipe.ts', `import type Docker from 'dockerode'; export type { Docker };`],
    ['runtime/docker.ts', `export * from '../usecases/start.ts';`],
    ['runtime/docker.ts', `export * from '@actions/core';`],
    ['stores/file.ts', `export * from '../runtime/runtime.ts';`],
    ['stores/file.ts', `export * from '@actions/core';`],
    ['stores/artifact.ts', `export * from '../engines/index.ts';`],
    ['stores/artifact.ts', `export * from 'dockerode';`],
    ['settings.ts', `export * from './engines/postgres.ts';`],
    ['usecases/start.ts', `export * from '../runtime/docker.ts';`],
    ['usecases/start.ts', `export * from '../stores/file.ts';`],
    ['usecases/start.ts', `export * from '../compose.ts';`],
    ['usecases/start.ts', `export * from '../../src/compose.ts';`],
    ['usecases/start.ts', `export const docker = await import('../runtime/docker.ts');`],
    ['usecases/start.ts', `export const load = (file: string) => import(file);`],
    ['usecases/start.ts', `export const home = process.env.HOME;`],
    ['usecases/start.ts', `process.exit(1);`],
    ['usecases/start.ts', `export const read = (text: string): unknown => JSON.parse(text);`],
    ['action/state.ts', `export const read = (text: string): unknown => JSON.parse(text);`],
    ['action/save.ts', `import * as core from '@actions/core'; core.setOutput('saved', 'true');`],
    ['usecases/start.ts', `import { env } from 'node:process'; export { env };`],
    ['compose.ts', `export * from './action/entry.ts';`],
    ['compose.ts', `export * from './runtime/../cli/main.ts';`],
    ['compose.ts', `export * from '../bench/run.ts';`],
    ['compose.ts', `export * from 'dockerode';`],
    ['action/entry.ts', `export * from '../stores/file.ts';`],
    ['action/entry.ts', `export * from '../cli/main.ts';`],
    ['cli/main.ts', `export * from '../runtime/docker.ts';`],
    ['cli/main.ts', `export * from '@actions/core';`],
    ['index.ts', `export * from './cli/main.ts';`],
    ['bundle.ts', `export * from './compose.ts';`],
  ])('refuse in %s: %s', async (file, code) => {
    expect(await findings(file, code)).not.toEqual([]);
  });

  test.each([
    ['clock.ts', `export * from './errors.ts';`],
    ['snapshot/key.ts', `export * from '../errors.ts'; export * from 'valibot';`],
    ['engines/postgres.ts', `export * from './engine.ts'; export * from '../runtime/runtime.ts';`],
    ['runtime/docker.ts', `export * from 'dockerode'; export * from './runtime.ts';`],
    ['stores/artifact.ts', `export const load = () => import('@actions/artifact');`],
    [
      'usecases/start.ts',
      `export * from '../stores/store.ts'; export * from '../snapshot/key.ts';`,
    ],
    ['compose.ts', `export const load = () => import('./runtime/docker.ts');`],
    [
      'action/entry.ts',
      `export * from '@actions/core'; export const run = process.env.GITHUB_RUN;`,
    ],
    ['cli/main.ts', `export * from '../compose.ts'; process.exitCode = 1;`],
    ['index.ts', `export * from './usecases/start.ts'; export * from './errors.ts';`],
    ['bundle.ts', `export const load = () => import('./cli/main.ts');`],
  ])('allow in %s: %s', async (file, code) => {
    expect(await findings(file, code)).toEqual([]);
  });
});
