import { afterEach, expect, test } from '@jest/globals';

import { readInputs, readUpload } from '../../../src/action/inputs.ts';

afterEach(() => {
  delete process.env['INPUT_UPLOAD'];
  delete process.env['INPUT_PASSWORD'];
});

test('an input that the runner gives empty is not given', () => {
  process.env['INPUT_PASSWORD'] = '';
  expect(readInputs()).not.toHaveProperty('password');
  process.env['INPUT_PASSWORD'] = 'secret';
  expect(readInputs()).toHaveProperty('password', 'secret');
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
