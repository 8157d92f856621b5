import * as core from '@actions/core';

/** What main leaves for post. */
export interface State {
  /** The label value of everything that main creates. */
  readonly run: string;
}

const stateName = 'snapvol';

/** Before anything is created, so that post finds what a cancelled main has left. */
export function saveState(state: State): void {
  core.saveState(stateName, state);
}

/** `undefined` when main did not get as far as creating anything. */
export function loadState(): State | undefined {
  const text = core.getState(stateName);
  return text === '' ? undefined : (JSON.parse(text) as State);
}
