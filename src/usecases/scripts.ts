import type { Endpoint, Engine, Env } from '../engines/engine.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { howEnded, logTailLines } from '../runtime/health.ts';
import type { Tools } from './context.ts';

/** The scripts of the user, by the names of their inputs. */
export type UserScript = 'seed' | 'check' | 'before-copy' | 'after-copy';

const failureCodes: Readonly<Record<UserScript, ErrorCode>> = {
  seed: 'seed-failed',
  check: 'check-failed',
  'before-copy': 'hook-failed',
  'after-copy': 'hook-failed',
};

/** Tools by which scripts run in this folder of the workspace. */
export function withScriptsIn<T extends Pick<Tools, 'runScript'>>(
  tools: T,
  folder: string | undefined,
): T {
  if (folder === undefined) return tools;
  return {
    ...tools,
    runScript: (script, signal) => tools.runScript({ ...script, cwd: folder }, signal),
  };
}

/** How much later than the script the engine may hear that a database has ended. */
const endNoticeMs = 1000;

/** The connection in environment variables, for the user's scripts. */
export function scriptEnv({
  engine,
  id,
  endpoint,
}: {
  readonly engine: Engine;
  readonly id: string;
  readonly endpoint: Endpoint;
}): Env {
  return {
    DATABASE_URL: engine.url(endpoint),
    SNAPVOL_HOST: endpoint.host,
    SNAPVOL_PORT: String(endpoint.port),
    SNAPVOL_USER: endpoint.user,
    SNAPVOL_PASSWORD: endpoint.password,
    SNAPVOL_DATABASE: endpoint.database,
    SNAPVOL_CONTAINER: id,
    ...engine.clientEnv(endpoint),
  };
}

/**
 * Runs a script of the user, then looks whether the database still lives.
 * @throws `seed-failed`, `check-failed`, `hook-failed`
 */
export async function runUserScript(
  { runtime, runScript }: Tools,
  what: UserScript,
  text: string,
  env: Env,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const code = failureCodes[what];
  const exitCode = await runScript({ text, env }, signal);
  if (exitCode !== 0) {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(endNoticeMs)]);
    await runtime.waitForExit(id, patience).catch(() => undefined);
  }
  const state = await runtime.inspectContainer(id, signal);
  // First, as it is why the script has failed.
  if (!state?.running) {
    throw new AppError(code, `the database ${howEnded(state)} during ${what}`, {
      hint: 'Look at its last log lines, printed with this error',
      details: await runtime.logs(id, logTailLines),
    });
  }
  if (exitCode !== 0) {
    throw new AppError(code, `${what} failed with exit code ${exitCode}`, {
      hint: "Look at the script's own output, and at the last log lines of the database, printed with this error",
      details: await runtime.logs(id, logTailLines),
    });
  }
}

/** A script around a copy of volumes that belong to no one database. @throws `hook-failed` */
export async function runHook(
  { runScript }: Pick<Tools, 'runScript'>,
  what: 'before-copy' | 'after-copy',
  text: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (text === undefined) return;
  const exitCode = await runScript({ text, env: {} }, signal);
  if (exitCode === 0) return;
  throw new AppError(failureCodes[what], `${what} failed with exit code ${exitCode}`, {
    hint: "Look at the script's own output",
  });
}
