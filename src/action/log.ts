import * as core from '@actions/core';

import type { Log } from '../log.ts';

/** The log of a workflow step: groups fold, warnings become annotations, progress would only be noise. */
export const actionsLog: Log = {
  debug: (message) => {
    core.debug(message);
  },
  info: (message) => {
    core.info(message);
  },
  warn: (message) => {
    core.warning(message);
  },
  group: (title, work) => core.group(title, work),
  progress: () => undefined,
  mask: (secret) => {
    if (secret !== '') core.setSecret(secret);
  },
};
