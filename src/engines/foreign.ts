import { constants } from 'node:os';

import type { Credentials, Engine, Env } from './engine.ts';
import { genericEngine } from './generic.ts';

// Containers that others have started: what can be told of them from outside.

/**
 * A program of no known kind. It has closed its files when it has ended by itself, or by the signal it was sent.
 * @param stopSignal as `docker inspect` has it: a name or a number
 */
export function unknownProgram(stopSignal: string): Engine {
  const known = { dataPath: '/', port: undefined, readyCommand: 'true', url: undefined };
  const number = signalNumber(stopSignal);
  return {
    ...genericEngine(known),
    cleanExitCodes: number === undefined ? [0] : [0, 128 + number],
    uncleanHint: (exitCode, container) =>
      `${exitCode === killed ? noHandler : itsLog}. ` +
      `If it keeps nothing of worth in the volumes, name ${container} in "allow-unclean"`,
  };
}

const killed = 137;
const noHandler =
  'Its first process may have no handler for the stop signal: start it with "init: true" (docker run --init), ' +
  'an entrypoint in exec form, or a "stop_signal" that it knows. One that needs longer needs a larger "stop-timeout"';
const itsLog = 'It has ended with an error when it was told to stop: look at its log';

/** One that keeps nothing of worth in the volumes, as the user says: however it ends is right. */
export const uncleanProgram: Engine = {
  ...unknownProgram(''),
  cleanExitCodes: Array.from({ length: 256 }, (_, exitCode) => exitCode),
  dataState: () =>
    Promise.resolve({ version: null, mark: 'none: any exit code was allowed ("allow-unclean")' }),
};

function signalNumber(signal: string): number | undefined {
  if (/^\d+$/.test(signal)) return Number(signal);
  const name = signal.toUpperCase().replace(/^(SIG)?/, 'SIG');
  const found = Object.entries(constants.signals).find(([each]) => each === name);
  return found?.[1];
}

/** The login that a container was made with: from its environment, or from its arguments. Else the engine's own. */
export function credentialsIn(engine: Engine, env: Env, command: readonly string[]): Credentials {
  const mark = '\0';
  /** In whichever variable the engine hands it to the image, alone or beside other text. */
  const given = (credentials: Credentials): string | undefined => {
    for (const [name, value] of Object.entries(engine.containerEnv(credentials))) {
      const at = value.indexOf(mark);
      const text = env[name];
      if (at === -1 || text === undefined) continue;
      return text.slice(at, 1 + at - value.length || undefined);
    }
    return undefined;
  };
  const { defaults } = engine;
  const none = { user: '', password: '', database: '' };
  const user = given({ ...none, user: mark }) ?? defaults.user;
  const password =
    given({ ...none, user, password: mark }) ?? argument(command, '--requirepass') ?? '';
  const database =
    given({ ...none, user, database: mark }) ??
    (user === defaults.user ? defaults.database : (engine.defaultDatabase?.(user) ?? user));
  return { user, password, database };
}

function argument(command: readonly string[], name: string): string | undefined {
  const at = command.indexOf(name);
  return at === -1 ? undefined : command[at + 1];
}
