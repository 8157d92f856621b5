import { expect, test } from '@jest/globals';

import { statInHeader } from '../../../src/runtime/docker-shapes.ts';

const answer = (stat: object): unknown => ({
  headers: {
    'x-docker-container-path-stat': Buffer.from(JSON.stringify(stat)).toString('base64'),
  },
});

test.each([
  ['2026-12-01T03:47:14Z', 1_796_096_834_000_000_000n],
  ['2026-12-01T03:47:14.092123456Z', 1_796_096_834_092_123_456n],
  ['2026-12-01T04:47:14.5+01:00', 1_796_096_834_500_000_000n],
  ['2026-12-01T01:17:14.000000001-02:30', 1_796_096_834_000_000_001n],
  ['1969-12-31T23:59:59.75Z', -250_000_000n],
])('a path that was changed at %s is read to the nanosecond', (mtime, modifiedNs) => {
  expect(statInHeader(answer({ mode: 2 ** 31 + 0o755, mtime }))).toEqual({
    ...{ type: 'folder', modifiedNs },
  });
  expect(statInHeader(answer({ mode: 0o644, mtime })).type).toBe('file');
});
