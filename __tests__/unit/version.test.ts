import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { version } from '../../src/version.ts';

test('the version is the one of package.json', () => {
  const json = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
  ) as {
    version: string;
  };
  expect(version).toBe(json.version);
});
