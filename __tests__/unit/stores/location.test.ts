import { describe, expect, test } from '@jest/globals';

import { artifactStoreName, parseStore } from '../../../src/stores/location.ts';

const latest = (branch: string, workflow?: string) => ({
  kind: 'artifact',
  from: { kind: 'latest', branch, workflow },
});

describe('a store', () => {
  test.each([
    ['actions-cache', { kind: 'actions-cache' }],
    ['file:/var/snapshots', { kind: 'file', dir: '/var/snapshots' }],
    ['file:a:b', { kind: 'file', dir: 'a:b' }],
    ['artifact', { kind: 'artifact', from: { kind: 'this-run' } }],
    ['artifact:run=17', { kind: 'artifact', from: { kind: 'run', runId: 17 } }],
    ['artifact:latest@main', latest('main')],
    ['artifact:latest@main/nightly.yml', latest('main', 'nightly.yml')],
    ['artifact:latest@release/1.x/nightly.yaml', latest('release/1.x', 'nightly.yaml')],
    ['artifact:latest@feature/login', latest('feature/login')],
    ['artifact:latest@feature/a.yml/ci.yml', latest('feature/a.yml', 'ci.yml')],
    ['artifact:latest@dependabot/npm@2', latest('dependabot/npm@2')],
    ['artifact:latest@main/yml', latest('main/yml')],
  ])('%s is understood', (text, location) => {
    expect(parseStore(text)).toEqual(location);
  });

  test.each([
    ['', /"" is not a store: actions-cache, artifact, .*file:DIR/],
    ['s3://x', /"s3:\/\/x" is not a store/],
    ['file:', /"file:" is not a store/],
    ['Artifact', /is not a store/],
    ['artifact:', /after "artifact:" comes run=ID or latest@BRANCH/],
    ['artifact:latest', /after "artifact:" comes/],
    ['artifact:main', /after "artifact:" comes/],
    ['artifact:run=', /a run's ID is a number/],
    ['artifact:run=0', /a run's ID is a number/],
    ['artifact:run=1e3', /a run's ID is a number/],
    ['artifact:run=12 ', /a run's ID is a number/],
    ['artifact:run=99999999999999999999', /a run's ID is a number/],
    ['artifact:run=https://github.com/acme/shop/actions/runs/1', /a run's ID is a number/],
    ['artifact:latest@', /names no branch/],
    ['artifact:latest@ci.yml', /names no branch/],
    ['artifact:latest@/ci.yml', /names no branch/],
    ['artifact:latest@main/', /"main\/" is not a branch's name/],
    ['artifact:latest@/main', /is not a branch's name/],
    ['artifact:latest@a//b', /is not a branch's name/],
    ['artifact:latest@main\nx', /is not a branch's name/],
    ['artifact:latest@re*', /is not a branch's name/],
    ['artifact:latest@a..b', /is not a branch's name/],
    ['artifact:latest@refs/heads/main', /by its name alone, as in latest@main/],
    ['artifact:latest@refs/pull/7/merge', /by its name alone/],
  ])('%j is refused, with what is allowed', (text, problem) => {
    expect(() => parseStore(text)).toThrow(problem);
  });

  test.each([
    'artifact',
    'artifact:run=17',
    'artifact:latest@feature/login',
    'artifact:latest@main/ci.yml',
  ])('%s is called what it was parsed from', (text) => {
    const location = parseStore(text);
    expect(location.kind === 'artifact' && artifactStoreName(location.from)).toBe(text);
  });
});
