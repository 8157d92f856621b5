import { expect, test } from '@jest/globals';

import { plainLines } from '../../../src/action/plain-lines.ts';

test('what is written for a runner becomes text, without secrets', () => {
  const plain = plainLines();
  expect(plain('sig=secret%\n')).toBe('sig=secret%\n');
  expect(plain('::add-mask::secret%25\n')).toBe('');
  expect(plain('Uploading to https://blob?sig=secret%\nUploaded 10%\n')).toBe(
    'Uploading to https://blob?sig=***\nUploaded 10%\n',
  );
  expect(plain('::debug::https://blob?sig=secret%25\n::group::Save\n::endgroup::\n')).toBe(
    'Save\n',
  );
  expect(plain('::warning file=a,line=1::Failed to save: 100%25%0Aof it\n')).toBe(
    'Failed to save: 100%\nof it\n',
  );
  expect(plain('::warning::sig=secret%25')).toBe('sig=***');
  expect(plain('::add-mask::first line%0Asecond%0A\n')).toBe('');
  expect(plain('only the second, or first line\nsecond\n')).toBe('only the ***, or ***');
});
