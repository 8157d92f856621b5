import { rm } from 'node:fs/promises';

import { secondsSince } from '../clock.ts';
import { AppError, explain, messageOf, toAppError } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { bundleBytes, type Bundle } from '../snapshot/bundle.ts';
import type { RunIdentity, StoreTools } from './context.ts';
import { launch, runUserScript, scriptEnv, stopCleanly, type Database } from './database.ts';
import { explainMiss } from './explain.ts';
import { makePlan, type Plan } from './plan.ts';
import { removeRun } from './remove.ts';
import type { SaveOutcome, Seconds, StartReport } from './report.ts';
import { describeSnapshot, restoreVolumes, searchSnapshot, takeSnapshot } from './snapshots.ts';

/** One `start`: what is given, what was decided, and how long each phase took. */
interface Run {
  readonly tools: StoreTools;
  readonly settings: Settings;
  readonly who: RunIdentity;
  readonly plan: Plan;
  readonly seconds: Seconds;
  readonly signal: AbortSignal;
}

/**
 * A database of this image: restored from the snapshot of its key, else seeded and snapshotted. When it resolves the
 * database serves; when it rejects, nothing that it made is left.
 */
export async function start(
  tools: StoreTools,
  settings: Settings,
  who: RunIdentity,
  signal: AbortSignal,
): Promise<StartReport> {
  const { runtime, log, clock } = tools;
  const startMs = clock.now();
  const { password } = settings.credentials;
  // Masking a default such as "postgres" would only make every log unreadable.
  if (password !== settings.engine.defaults.password) log.mask(password);
  await runtime.info();
  const image = await runtime.ensureImage(settings.image, signal, () => {
    log.info(`pulling ${settings.image}`);
  });
  const plan = await makePlan(settings, image, who);
  const run: Run = { tools, settings, who, plan, seconds: {}, signal };
  await log.group(`Key ${plan.key}`, () => {
    for (const { name, value } of plan.keyParts) log.info(`${name}: ${value}`);
    return Promise.resolve();
  });
  try {
    const report = await restoreOrSeed(run);
    run.seconds.total = secondsSince(clock, startMs);
    return report;
  } catch (error) {
    await cleanUp(run);
    throw toAppError(error);
  }
}

async function restoreOrSeed(run: Run): Promise<StartReport> {
  const { tools, settings, plan, signal } = run;
  const { log, store } = tools;
  const search = await timed(run, 'search', () =>
    log.group(`Look for a snapshot (${store.name})`, () =>
      searchSnapshot(
        tools,
        plan,
        settings.restoreKeys,
        () => explainMiss(store, plan.keyParts, signal),
        signal,
      ),
    ),
  );
  let reason =
    search.kind === 'none' ? search.reason : `only a base snapshot: ${search.bundle.manifest.key}`;
  if (search.kind === 'found' && search.exact) {
    const hit = await tryHit(run, search.bundle);
    if (typeof hit !== 'string') return hit;
    reason = hit;
  }
  log.info(`Miss: ${reason}`);
  if (settings.failOnMiss) {
    throw new AppError('snapshot-missing', `no snapshot to restore: ${reason}`, {
      hint: 'Run the job that saves it first, or set "fail-on-miss" to false',
    });
  }
  const base = search.kind === 'found' && !search.exact ? search.bundle : undefined;
  return seed(run, base, reason);
}

/** The hit, or the reason why the snapshot turned out to be no good; then nothing of it is left. */
async function tryHit(run: Run, bundle: Bundle): Promise<StartReport | string> {
  const { tools, settings, plan, who, signal } = run;
  try {
    const sizeBytes = await bundleBytes(bundle);
    await restore(run, bundle);
    const database = await timed(run, 'ready', () =>
      launch(tools, plan, settings, who.owner, hostPortOf(run), { initialise: false }, signal),
    );
    await check(run, database);
    return reportOf(run, database, {
      outcome: 'hit',
      missReason: undefined,
      matchedKey: plan.key,
      snapshot: { digest: bundle.digest, sizeBytes },
      save: { kind: 'skipped', reason: 'it was restored' },
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError) || !unusable.has(error.code)) throw error;
    await warnAndCleanUp(run, `the snapshot ${plan.key} cannot be used`, error);
    return `the snapshot cannot be used: ${error.message}`;
  }
}

/** What may be the snapshot's fault: then seeding is the way out. A taken port or a dead engine is not. */
const unusable: ReadonlySet<AppError['code']> = new Set([
  'snapshot-corrupt',
  'snapshot-incompatible',
  'copy-failed',
  'container-unhealthy',
  'check-failed',
]);

async function seed(run: Run, base: Bundle | undefined, missReason: string): Promise<StartReport> {
  const { tools, settings, plan, who, seconds, signal } = run;
  const { runtime, log, clock } = tools;
  const baseKey = base && (await tryBase(run, base));
  if (baseKey === undefined) {
    for (const { volume, labels } of plan.volumes)
      await runtime.createVolume(volume, labels, signal);
  }
  const database = await timed(run, 'ready', () =>
    launch(
      tools,
      plan,
      settings,
      who.owner,
      hostPortOf(run),
      { initialise: baseKey === undefined },
      signal,
    ),
  );
  const seedMs = clock.now();
  if (settings.seed !== undefined) {
    const script = settings.seed;
    const env = {
      ...scriptEnv(plan, database),
      ...(baseKey !== undefined && { SNAPVOL_BASE_KEY: baseKey }),
    };
    await log.group('Seed', () => runUserScript(tools, 'seed', script, env, database.id, signal));
  }
  seconds.seed = secondsSince(clock, seedMs);
  await check(run, database);

  const outcome = baseKey === undefined ? 'miss' : 'base';
  const facts = { outcome, missReason, matchedKey: baseKey } as const;
  const skipped = reasonNotToSave(run);
  if (skipped !== undefined) {
    log.info(`Not saved: ${skipped}`);
    return reportOf(run, database, {
      ...facts,
      snapshot: undefined,
      save: { kind: 'skipped', reason: skipped },
    });
  }
  const { bundle, restarted } = await snapshotAndRestart(run, database);
  const save = bundle instanceof AppError ? failedSave(run, bundle) : await saveBundle(run, bundle);
  return reportOf(run, restarted, {
    ...facts,
    snapshot:
      bundle instanceof AppError
        ? undefined
        : { digest: bundle.digest, sizeBytes: await bundleBytes(bundle) },
    save,
  });
}

/** Fills the volumes from a base snapshot. `undefined` when it is no good; then nothing of it is left. */
async function tryBase(run: Run, base: Bundle): Promise<string | undefined> {
  try {
    await restore(run, base);
    return base.manifest.key;
  } catch (error) {
    run.signal.throwIfAborted();
    if (!(error instanceof AppError) || !unusable.has(error.code)) throw error;
    await warnAndCleanUp(run, `the base snapshot ${base.manifest.key} cannot be used`, error);
    return undefined;
  }
}

async function restore(run: Run, bundle: Bundle): Promise<void> {
  const { tools, plan, signal } = run;
  await timed(run, 'restore', () =>
    tools.log.group('Restore', () =>
      restoreVolumes(tools, bundle, plan.volumes, plan.image.reference, signal),
    ),
  );
  // A restored bundle is only a second copy on a disk that may be small.
  await rm(bundle.dir, { recursive: true });
}

async function check(run: Run, database: Database): Promise<void> {
  const { tools, settings, plan, signal } = run;
  const script = settings.check;
  if (script === undefined) return;
  await timed(run, 'check', () =>
    tools.log.group('Check', () =>
      runUserScript(tools, 'check', script, scriptEnv(plan, database), database.id, signal),
    ),
  );
}

/**
 * Stops the database, copies its volumes, and starts it again as a hit would: a new container on the same volumes and
 * port. A snapshot that must not be made is an error as a value: the seeded database is still good.
 */
async function snapshotAndRestart(
  run: Run,
  database: Database,
): Promise<{ bundle: Bundle | AppError; restarted: Database }> {
  const { tools, settings, plan, who, seconds, signal } = run;
  return timed(run, 'snapshot', () =>
    tools.log.group('Snapshot', async () => {
      const stopAndCopy = async (): Promise<Bundle> => {
        const stop = await stopCleanly(tools, plan, database.id, settings.stopTimeoutMs);
        tools.log.info(`stopped: exit code ${stop.exitCode}, ${stop.mark}`);
        const now = new Date(tools.clock.now());
        const describe = describeSnapshot(plan, stop, now, who.provenance, seconds.seed ?? null);
        return takeSnapshot(tools, plan, settings.compression, describe, signal);
      };
      const bundle = await stopAndCopy().catch((error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof AppError && error.code !== 'docker-unreachable') return error;
        throw error;
      });
      await tools.runtime.removeContainer(database.id);
      const samePort = database.endpoint.port;
      const restarted = await launch(
        tools,
        plan,
        settings,
        who.owner,
        samePort,
        { initialise: false },
        signal,
      );
      return { bundle, restarted };
    }),
  );
}

function reasonNotToSave({ settings, who }: Run): string | undefined {
  if (settings.save === 'false') return 'save is false';
  if (settings.save === 'auto') return who.untrusted;
  return undefined;
}

async function saveBundle(run: Run, bundle: Bundle): Promise<SaveOutcome> {
  const { tools, plan, signal } = run;
  try {
    const kind = await timed(run, 'save', () =>
      tools.log.group(`Save (${tools.store.name})`, () =>
        tools.store.save(plan.key, bundle.dir, signal),
      ),
    );
    tools.log.info(
      kind === 'saved' ? `saved ${plan.key}` : `${plan.key} is already there, kept as it is`,
    );
    return { kind };
  } catch (error) {
    signal.throwIfAborted();
    return failedSave(run, toAppError(error));
  }
}

/** The database serves: not being able to save it must not fail the job. */
function failedSave({ tools }: Run, error: AppError): SaveOutcome {
  tools.log.warn(`the snapshot was not saved: ${explain(error)}`);
  for (const line of error.details) tools.log.info(line);
  return { kind: 'failed', reason: error.message };
}

function hostPortOf({ settings, plan }: Run): number {
  return settings.port ?? plan.containerPort;
}

async function warnAndCleanUp(run: Run, what: string, error: AppError): Promise<void> {
  run.tools.log.warn(`${what}: ${explain(error)}`);
  for (const line of error.details) run.tools.log.info(line);
  await removeRun(run.tools.runtime, run.who.owner.run);
}

/** After a failure. The first error is the one to report; what could not be removed is found again by its labels. */
async function cleanUp({ tools, who }: Run): Promise<void> {
  try {
    await removeRun(tools.runtime, who.owner.run);
  } catch (error) {
    tools.log.warn(`could not clean up: ${messageOf(error)}`);
  }
}

async function timed<T>(
  { seconds, tools }: Run,
  phase: keyof Seconds,
  work: () => Promise<T>,
): Promise<T> {
  const startMs = tools.clock.now();
  try {
    return await work();
  } finally {
    seconds[phase] = secondsSince(tools.clock, startMs);
  }
}

function reportOf(
  { tools, settings, plan, who, seconds }: Run,
  { id, endpoint }: Database,
  facts: Pick<StartReport, 'outcome' | 'missReason' | 'matchedKey' | 'snapshot' | 'save'>,
): StartReport {
  const url = plan.engine.url(endpoint);
  if (endpoint.password !== plan.engine.defaults.password) tools.log.mask(url);
  return {
    ...facts,
    key: plan.key,
    keyParts: plan.keyParts,
    store: tools.store.name,
    name: who.owner.name,
    engine: plan.engine.id,
    image: settings.image,
    container: id,
    volume: plan.volumes[0]?.volume ?? '',
    endpoint,
    url,
    seconds,
  };
}
