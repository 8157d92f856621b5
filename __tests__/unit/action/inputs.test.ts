import { afterEach, expect, test } from '@jest/globals';

import { readUpload } from '../../../src/action/inputs.ts';

afterEach(() => {
  delete process.env['INPUT_UPLOAD'];
});

// A workflow that gives an input as an expression gives it empty where that has no value.
test.each<[string | undefined, string]>([
  [undefined, 'inline'],
  ['', 'inline'],
  ['inline', 'inline'],
  ['background', 'background'],
])('upload %p is %s', (given, upload) => {
  if (given !== undefined) process.env['INPUT_UPLOAD'] = given;
  expect(readUpload()).toBe(upload);
});

test('another upload is refused', () => {
  process.env['INPUT_UPLOAD'] = 'later';
  expect(readUpload).toThrow('upload: "later" is not one of inline, background');
});
