import * as core from '@actions/core';

import type { SecretTexts } from '../compose.ts';
import { AppError } from '../errors.ts';
import { inputNames, type RawInputs } from '../settings.ts';

/** All inputs of the step as text, read in one place. The runner gives those empty that the workflow does not. */
export function readInputs(): RawInputs {
  return Object.fromEntries(
    Object.entries(readNamed(inputNames)).filter(([, text]) => text !== ''),
  );
}

/** Those of a sub-action. */
export function readNamed(names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, core.getInput(name)]));
}

/** Of encrypted snapshots. No line of them is shown from here on. */
export function readSecrets(): SecretTexts {
  const [identity, passphrase] = [core.getInput('identity'), core.getInput('passphrase')];
  for (const line of [...identity.split('\n'), ...passphrase.split('\n')]) {
    if (line.trim() !== '') core.setSecret(line.trim());
  }
  // Programs that the clients of GitHub start get our environment.
  for (const name of ['INPUT_IDENTITY', 'INPUT_PASSPHRASE'])
    Reflect.deleteProperty(process.env, name);
  return { identity, passphrase };
}

/** When a new snapshot is uploaded. Only where there is a post phase, so it is no setting of a start. */
export function readUpload(): 'inline' | 'background' {
  const upload = core.getInput('upload') || 'inline';
  if (upload === 'inline' || upload === 'background') return upload;
  throw new AppError('invalid-settings', `upload: "${upload}" is not one of inline, background`);
}

/** In the post phase, whether the job was cancelled. The runner fills the input in for each phase. */
export function isJobCancelled(): boolean {
  return core.getInput('job-status') === 'cancelled';
}

/** Of GitHub's API. It is no input like the others: those may be shown. */
export function readToken(): string | undefined {
  const token = core.getInput('token');
  if (token === '') return undefined;
  core.setSecret(token);
  return token;
}
