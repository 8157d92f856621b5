import { secondsSince } from '../clock.ts';
import { AppError, messageOf, toAppError } from '../errors.ts';
import { runLabels } from '../runtime/labels.ts';
import { keepsGolden } from '../settings.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import type { StoreTools } from './context.ts';
import type { Database } from './database.ts';
import { liveVolumes } from './golden.ts';
import { whileQuiesced, type Quiesced } from './quiesce.ts';
import { removeMade } from './remove.ts';
import { reportSnapshot, type SaveOutcome, type StartReport } from './report.ts';
import { runUserScript, scriptEnv } from './scripts.ts';
import {
  check,
  discard,
  reportOf,
  requireItems,
  serve,
  serveRestored,
  warn,
  type Run,
} from './run.ts';
import type { Miss } from './search.ts';
import { requireInVolume, requireLogin, requireWritten, sourceOf } from './seeding.ts';
import { takeSnapshot, type TakenSnapshot } from './take.ts';
import { reasonNotWorthwhile } from './worthwhile.ts';

/** A seeded database, its snapshot taken and saved where that is wanted and possible. */
export async function seed(
  run: Run,
  base: Bundle<DatabaseManifest> | undefined,
  miss: Miss,
): Promise<StartReport> {
  const { log } = run.tools;
  const seeded = await seedDatabase(run, base);
  const report = (
    { database, baseKey }: Seeded,
    save: SaveOutcome,
    snapshot?: StartReport['snapshot'],
  ): StartReport => {
    const outcome = baseKey === undefined ? 'miss' : 'base';
    const missReason = miss.reason;
    return reportOf(run, database, { outcome, missReason, matchedKey: baseKey, snapshot, save });
  };

  const reason = reasonNotToSave(run, miss);
  if (reason !== undefined) {
    log.info(`Not saved: ${reason}`);
    const skipped = { kind: 'skipped', reason } as const;
    if (!keepsGolden(run.settings)) return report(seeded, skipped);
    const { taken, restarted } = await stopAndRestart(run, seeded.database);
    if (taken instanceof AppError) warn(run, 'the database cannot be reset', taken);
    if (restarted) return report({ ...seeded, database: restarted }, skipped);
    return report(await seedOnceMore(run), skipped);
  }
  const { taken, restarted, readySeconds } = await snapshotAndRestart(run, seeded.database);
  // Now: an upload in the background takes the bundle away.
  const known = taken instanceof AppError ? undefined : await reportSnapshot(taken.bundle);
  const save =
    taken instanceof AppError
      ? failedSave(run, taken)
      : await saveIfWorthwhile(run, taken, readySeconds);
  const snapshot = save.kind === 'saved' || save.kind === 'uploading' ? known : undefined;
  if (restarted) return report({ ...seeded, database: restarted }, save, snapshot);
  return report(await seedOnceMore(run), save);
}

/** A database that was killed may have lost what it was given last, and nobody could tell. */
async function seedOnceMore(run: Run): Promise<Seeded> {
  run.tools.log.info('Seeding once more: the first database cannot be trusted');
  await removeMade(run.tools.runtime, runLabels(run.who.owner.run));
  return seedDatabase(run, undefined);
}

interface Seeded {
  readonly database: Database;
  /** The base snapshot that is below the seed. */
  readonly baseKey?: string | undefined;
}

async function seedDatabase(run: Run, base: Bundle<DatabaseManifest> | undefined): Promise<Seeded> {
  const { tools, settings, phases, signal } = run;
  const fromBase = base && (await tryBase(run, base));
  const { database, baseKey } = fromBase ?? { database: await serveEmpty(run) };
  const script = settings.seed;
  if (script !== undefined) {
    const env = {
      ...scriptEnv(database),
      ...(baseKey !== undefined && { SNAPVOL_BASE_KEY: baseKey }),
    };
    await phases.timed('seed', async () => {
      await tools.log.group('Seed', () =>
        runUserScript(tools, 'seed', script, env, database.id, signal),
      );
      await requireLogin(run, database);
    });
  }
  await check(run, database);
  return { database, baseKey };
}

/** The database of a base snapshot. `undefined` when it is no good; then nothing of it is left. */
async function tryBase(run: Run, base: Bundle<DatabaseManifest>): Promise<Seeded | undefined> {
  try {
    const database = await serveRestored(run, base, { golden: false });
    return { database, baseKey: base.manifest.key };
  } catch (error) {
    await discard(run, `the base snapshot ${base.manifest.key}`, error);
    return undefined;
  }
}

async function serveEmpty(run: Run): Promise<Database> {
  const { tools, plan, phases } = run;
  // Without the signal: an aborted request may leave what is looked for before it is there.
  for (const { volume, labels } of plan.volumes) await tools.runtime.createVolume(volume, labels);
  tools.log.info(`starting an empty database (${plan.image.reference})`);
  const database = await phases.timed('ready', () =>
    serve(run, plan.volumes, { initialise: true }),
  );
  tools.log.info(`ready in ${phases.seconds().ready ?? 0} s`);
  await requireInVolume(run, database);
  return database;
}

/** What only the user can put right, or nobody. */
const fatal: ReadonlySet<AppError['code']> = new Set(['docker-unreachable', 'invalid-settings']);

/** What was done while it was stopped, or why it was not; and the database that serves after it, unless its data cannot be trusted. */
interface Restarted<T> {
  readonly taken: T | AppError;
  readonly restarted: Database | undefined;
  /** What starting it again took; 0 for one that was not stopped. */
  readonly readySeconds: number;
}

function snapshotAndRestart(run: Run, database: Database): Promise<Restarted<TakenSnapshot>> {
  const { tools, settings, plan, who, phases, signal } = run;
  // On top of a base, its restore is what an empty database is elsewhere.
  const { restore = 0, ready = 0, seed: seedSeconds = 0 } = phases.seconds();
  const facts = { provenance: who.provenance, initSeconds: restore + ready, seedSeconds };
  return phases.timed('snapshot', () =>
    tools.log.group('Snapshot', () =>
      restartAfter(
        run,
        database,
        () => takeSnapshot(tools, plan, database, settings, facts, signal),
        ({ bundle }) => bundle.manifest.engine.items,
      ),
    ),
  );
}

/** So that its volumes can be kept as they are. */
function stopAndRestart(run: Run, database: Database): Promise<Restarted<Quiesced<void>>> {
  const { tools, settings, signal } = run;
  const source = sourceOf(run, database);
  return restartAfter(
    run,
    database,
    () =>
      whileQuiesced(tools, source, { ...settings, trim: false }, () => requireWritten(run), signal),
    ({ items }) => items,
  );
}

/**
 * One that is stopped for it starts again as a hit would: a new container on the same port, on clones of its volumes or
 * on these. What must not be taken is an error as a value: there is a way on without it.
 */
async function restartAfter<T>(
  run: Run,
  database: Database,
  take: () => Promise<T>,
  itemsOf: (taken: T) => number | null,
): Promise<Restarted<T>> {
  const { tools, settings, signal } = run;
  const taken = await take().catch((error: unknown) => {
    signal.throwIfAborted();
    if (error instanceof AppError && !fatal.has(error.code)) return error;
    throw error;
  });
  if (settings.quiesce !== 'stop') return { taken, restarted: database, readySeconds: 0 };
  // Only a copy that failed says nothing against the data it was made from.
  if (taken instanceof AppError && taken.code !== 'copy-failed') {
    return { taken, restarted: undefined, readySeconds: 0 };
  }
  await tools.runtime.removeContainer(database.id);
  const startMs = tools.clock.monotonicMs();
  const volumes = await liveVolumes(run);
  const restarted = await serve(run, volumes, { initialise: false }, database.hostPort);
  const readySeconds = secondsSince(tools.clock, startMs);
  try {
    if (!(taken instanceof AppError)) await requireItems(run, restarted, itemsOf(taken));
  } catch (error) {
    return { taken: toAppError(error), restarted: undefined, readySeconds };
  }
  return { taken, restarted, readySeconds };
}

function reasonNotToSave({ settings, who, plan, tools }: Run, miss: Miss): string | undefined {
  if (settings.save === 'false') return 'save is false';
  if (settings.save === 'auto' && who.untrusted !== undefined) return who.untrusted;
  switch (miss.keyHolder) {
    case 'none':
      return undefined;
    case 'locked':
      return 'an encrypted snapshot that was not opened has this key';
    case 'unread':
      return 'the snapshot that has this key stays, and may be used by the next run';
    case 'unusable':
      tools.log.warn(
        `the snapshot ${plan.key} cannot be used and stays in the store: every run will seed, until you remove it or change the key`,
      );
      return 'a snapshot that cannot be used has this key';
  }
}

async function saveIfWorthwhile(
  run: Run,
  { bundle, copySeconds }: TakenSnapshot,
  readySeconds: number,
): Promise<SaveOutcome> {
  const { initSeconds, seedSeconds } = bundle.manifest;
  const seedingSeconds = (initSeconds ?? 0) + (seedSeconds ?? 0);
  const times = { seedingSeconds, copySeconds, readySeconds };
  const reason = reasonNotWorthwhile(run.settings, times);
  if (reason === undefined) return saveBundle(run, bundle);
  run.tools.log.info(`Not saved: ${reason}`);
  return { kind: 'skipped', reason };
}

async function saveBundle(run: Run, bundle: Bundle): Promise<SaveOutcome> {
  const { tools, plan, phases, signal } = run;
  signal.throwIfAborted();
  if (tools.handOver && (await isHandedOver(run, bundle, tools.handOver))) {
    return { kind: 'uploading' };
  }
  try {
    const kind = await phases.timed('save', () =>
      tools.log.group(`Save (${tools.store.name})`, () =>
        tools.store.save(plan.key, bundle.dir, signal),
      ),
    );
    if (kind === 'saved') tools.log.info(`saved ${plan.key}`);
    else tools.log.info(`${plan.key} is already there, kept as it is`);
    return { kind };
  } catch (error) {
    signal.throwIfAborted();
    return failedSave(run, toAppError(error));
  }
}

async function isHandedOver(
  { tools: { log }, plan: { key } }: Run,
  { dir }: Bundle,
  handOver: NonNullable<StoreTools['handOver']>,
): Promise<boolean> {
  try {
    await handOver(key, dir);
    log.info(`${key} is uploaded in the background: the end of the job waits for it`);
    return true;
  } catch (error) {
    log.info(`uploading now, and not in the background: ${messageOf(error)}`);
    return false;
  }
}

/** The database serves: not being able to save it must not fail the job. */
function failedSave(run: Run, error: AppError): SaveOutcome {
  warn(run, 'the snapshot was not saved', error);
  return { kind: 'failed', reason: error.message };
}
