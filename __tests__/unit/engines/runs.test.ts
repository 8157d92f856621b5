import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { engineIds } from '../../../src/engines/index.ts';
import { officialServers } from '../../official/servers.ts';
import { engineNamed } from '../../support/engines.ts';
import { servers, type Server } from '../../support/servers.ts';

const root = resolve(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const ids = engineIds.filter((id) => id !== 'generic');
const engineOf = ({ inputs, image }: Server): string => engineNamed(inputs?.engine, image).id;

test('every engine is run with a server', () => {
  const run = [...Object.values(servers), ...Object.values(officialServers)].map(engineOf);
  expect([...new Set(run)].sort()).toEqual([...ids].sort());
});

test('every server that has a stand-in is run by a test', () => {
  const tests = globSync('__tests__/e2e/engines-*.test.ts', { cwd: root }).map(read).join('\n');
  const named = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(tests);
  expect(Object.keys(servers).filter((name) => !named(name))).toEqual([]);
});

test('every official server is run by the workflow, in its default image', () => {
  // A cast: actionlint looks at all the rest of it.
  const { jobs } = parse(read('.github/workflows/engines.yml')) as {
    readonly jobs: {
      readonly official: { readonly strategy: { readonly matrix: { readonly engine: unknown } } };
    };
  };
  expect(jobs.official.strategy.matrix.engine).toEqual(Object.keys(officialServers));
  for (const [id, server] of Object.entries<Server>(officialServers)) {
    expect([engineOf(server), server.image]).toEqual([id, engineNamed(id).defaultImage]);
  }
});

test.each(ids)('the documentation names %s, and its default image', (id) => {
  const text = read('docs/engines.md');
  expect(text).toContain(`\`${id}\``);
  expect(text).toContain(`\`${String(engineNamed(id).defaultImage)}\``);
});
