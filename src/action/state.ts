import * as core from '@actions/core';

import { AppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { PendingUpload } from './hand-over.ts';
import { runnerFileError } from './report.ts';

/** What main leaves for post. */
export interface State {
  /** The label value of everything that main creates. */
  readonly run: string;
  /** What goes on when main has ended. */
  readonly upload?: PendingUpload;
}

const stateName = 'snapvol';

/** Before anything is created, so that post finds what a cancelled main has left. The last one counts. */
export function saveState(state: State): void {
  try {
    core.saveState(stateName, state);
  } catch (error) {
    throw runnerFileError("keep the step's state", 'GITHUB_STATE', error);
  }
}

/** `undefined` when main did not get as far as creating anything. */
export function loadState(): State | undefined {
  const text = core.getState(stateName);
  if (text === '') return undefined;
  return parseJson(
    text,
    (cause) =>
      new AppError('system-error', `the step's state (${stateName}) cannot be read`, {
        cause,
        hint: 'What the step has made is removed by the next snapvol command on this machine',
      }),
  ) as State;
}
