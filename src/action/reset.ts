import * as core from '@actions/core';

import { composeTools } from '../compose.ts';
import { AppError } from '../errors.ts';
import { parseCopySettings } from '../settings.ts';
import { repair } from '../usecases/recover.ts';
import { reset } from '../usecases/reset.ts';
import { readNamed } from './inputs.ts';
import { jobScope } from '../job-scope.ts';
import { info } from './log.ts';
import { phase, settingsContext, surroundings } from './phase.ts';
import { setOutput } from './report.ts';

export const resetInputNames = ['name', 'wait-timeout'] as const;

/** The sub-action reset/. */
export async function resetAction(): Promise<void> {
  await phase(async (signal) => {
    const around = surroundings();
    const { name = '', ...rest } = readNamed(resetInputNames);
    const { waitTimeoutMs } = parseCopySettings(rest, settingsContext(around));
    if (name === '')
      throw new AppError('invalid-settings', 'name: give the name of the database', {
        hint: 'The input "name" of the step that started it, which is its engine (postgres) unless given',
      });
    await using composed = await composeTools(around, 'auto');
    await repair(composed.tools, signal);
    const request = { scope: jobScope(process.env), name, waitTimeoutMs };
    const { seconds } = await reset(composed.tools, request, signal);
    setOutput('reset-seconds', seconds);
    info(`${name} is as it was when it was started, after ${seconds} s`);
  }, core.setFailed);
}
