import * as core from '@actions/core';

import { inputNames, type RawInputs } from '../settings.ts';

/** All inputs of the step as text, read in one place. */
export function readInputs(): RawInputs {
  return Object.fromEntries(inputNames.map((name) => [name, core.getInput(name)]));
}
