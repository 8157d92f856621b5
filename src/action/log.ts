import * as core from '@actions/core';

import type { Log } from '../log.ts';

/**
 * Text that anybody may have written (a manifest, a database's log), so that no line of it is a command to the runner.
 * https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
 */
export function harmless(text: string): string {
  // As the runner looks for them: `::` first in a line, what .NET takes for space aside, and the older `##[` anywhere.
  return text
    .replace(/(^|[\r\n])((?:[^\S\r\n]|\u0085)*):(?=:)/g, '$1$2: ')
    .replaceAll('##[', '## [');
}

/** A line of the log. */
export function info(text: string): void {
  core.info(harmless(text));
}

/** The log of a workflow step: groups fold, warnings become annotations, progress would only be noise. */
export const actionsLog: Log = {
  debug: (message) => {
    core.debug(message);
  },
  info,
  warn: (message) => {
    core.warning(message);
  },
  group: (title, work) => core.group(harmless(title), work),
  progress: () => undefined,
  mask: (secret) => {
    if (secret !== '') core.setSecret(secret);
  },
};
