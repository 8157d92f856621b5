import { expect, test } from '@jest/globals';

import { setOutput } from '../../../src/action/report.ts';
import { saveState } from '../../../src/action/state.ts';

test.each([
  [
    'GITHUB_OUTPUT',
    'could not set the output "port": ',
    () => {
      setOutput('port', 1);
    },
  ],
  [
    'GITHUB_STATE',
    "could not keep the step's state: ",
    () => {
      saveState({ run: '1' });
    },
  ],
])('a file of the runner that is not there is no bug: %s', (name, message, write) => {
  const before = process.env[name];
  process.env[name] = '/nonexistent/snapvol';
  try {
    expect(write).toThrow(
      expect.objectContaining({
        code: 'system-error',
        message: expect.stringContaining(message),
        hint: expect.stringContaining(name),
      }),
    );
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = before;
  }
});
