import { AppError } from '../errors.ts';
import { isFresh } from '../runtime/fresh.ts';
import { askOnce, ready, waitUntilReady } from '../runtime/health.ts';
import { copyLabels } from '../runtime/labels.ts';
import { keepsGolden } from '../settings.ts';
import type { Database } from './database.ts';
import { dataElsewhere, elsewhereError, type DataSource } from './probes.ts';
import type { Run } from './run.ts';

// What must hold before a seed, and after it.

/** Before a seed that may take long, and would be for nothing. @throws `invalid-settings` */
export async function requireInVolume(run: Run, database: Database): Promise<void> {
  const { tools, settings, plan, signal } = run;
  const { engine, dataPath } = plan;
  const patience = { timeoutMs: settings.waitTimeoutMs, signal };
  const problem = await dataElsewhere(tools.runtime, sourceOf(run, database), patience);
  if (problem) {
    if (settings.save !== 'false' || keepsGolden(settings)) throw problem;
    tools.log.warn(problem.message);
  } else if (!engine.dataFolder && (await isUntouched(run))) {
    // Not an error: it may write nothing before it must.
    tools.log.warn(
      `the volume at ${dataPath} is still empty: if the database keeps its data elsewhere, set "data-path" to that folder`,
    );
  }
}

/** Instead of a copy that would tell: a database that starts again on nothing is made anew. @throws `invalid-settings` */
export async function requireWritten(run: Run): Promise<void> {
  const { engine, dataPath } = run.plan;
  if (engine.dataFolder || !(await isUntouched(run))) return;
  throw elsewhereError(`the volume of the database (${dataPath}) is empty`);
}

/** Whether nobody has written to the volume with the data. */
async function isUntouched({ tools, plan, signal }: Run): Promise<boolean> {
  const [data] = plan.volumes;
  if (!data) return false;
  const { volume, mountPath, labels } = data;
  const storage = { type: 'volume', source: volume } as const;
  const target = { storage, image: plan.image.reference, labels: copyLabels(labels) };
  return isFresh(tools.runtime, target, mountPath, signal);
}

export function sourceOf({ plan: { dataPath, volumes } }: Run, database: Database): DataSource {
  return { ...database, dataPath, mountPaths: volumes.map((each) => each.mountPath) };
}

/** Connections of the seed may just be closing, and a limit of them be reached. */
const closingMs = 3000;

/** After a seed that has changed the password, nobody would get in: neither we nor the tests. @throws `seed-failed` */
export async function requireLogin(
  run: Run,
  { id, engine, endpoint, startedAt }: Database,
): Promise<void> {
  const { tools, settings, signal } = run;
  const { runtime, clock } = tools;
  const readiness = engine.readiness(endpoint);
  if ((await askOnce(runtime, id, readiness, signal)) === ready) return;
  const state = await runtime.inspectContainer(id, signal);
  const wasRestarted = state?.startedAt !== startedAt;
  const timeoutMs = wasRestarted ? settings.waitTimeoutMs : closingMs;
  try {
    await waitUntilReady(runtime, clock, id, readiness, timeoutMs, signal);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'container-unhealthy') throw error;
    const { user } = endpoint;
    throw new AppError(
      'seed-failed',
      `after the seed, the login${user && ` of user "${user}"`} does not work any more: ${error.message}`,
      {
        cause: error,
        hint: 'Let the seed leave that user, the password and the database as they are; others it may make',
        details: error.details,
      },
    );
  }
}
