import { rm } from 'node:fs/promises';

import { AppError, explain } from '../errors.ts';
import { logTailLines } from '../runtime/health.ts';
import { engineLabel, labelsFor, recordLabel, runLabels } from '../runtime/labels.ts';
import type { Settings } from '../settings.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import { upgradeOf } from '../snapshot/compatibility.ts';
import type { RunIdentity, StoreTools } from './context.ts';
import { criticalPath } from './critical-path.ts';
import { putFiles } from './container-files.ts';
import { launch, type Database } from './database.ts';
import { liveVolumes } from './golden.ts';
import { isSecret } from './mask-password.ts';
import type { Plan, PlannedVolume } from './plan.ts';
import { countItems } from './probes.ts';
import { removeMade } from './remove.ts';
import type { Phases } from './phases.ts';
import { encodeRecord } from './record.ts';
import type { StartReport } from './report.ts';
import { savingsOf } from './savings.ts';
import { runUserScript, scriptEnv } from './scripts.ts';
import { restoreVolumes } from './fill.ts';

/** One `start`: what is given, and what was decided. */
export interface Run {
  readonly tools: StoreTools;
  readonly settings: Settings;
  readonly who: RunIdentity;
  readonly plan: Plan;
  readonly phases: Phases;
  readonly signal: AbortSignal;
}

/**
 * The database on these volumes, on the wanted port unless another one is given. Its callers time it.
 * @param how `initialise`: the volumes are empty, init files are wanted
 */
export async function serve(
  run: Run,
  volumes: readonly PlannedVolume[],
  how: { readonly initialise: boolean },
  hostPort = run.settings.port ?? run.plan.containerPort,
): Promise<Database> {
  const { tools, plan, settings, who, signal } = run;
  const { engine, credentials, containerPort } = plan;
  const { network, networkAlias, port, options, waitTimeoutMs } = settings;
  const isPublished = network === undefined || port !== undefined;
  const container = { ...(network !== undefined && { network }), options };
  const wanted = {
    ...{ engine, credentials, volumes, containerPort, waitTimeoutMs },
    spec: {
      name: plan.containerName,
      image: plan.image.reference,
      labels: {
        ...labelsFor(who.owner, 'database'),
        [engineLabel]: engine.id,
        [recordLabel]: encodeRecord(plan, settings, container, isPublished),
      },
      env: plan.containerEnv,
      ...(engine.entrypoint && { entrypoint: engine.entrypoint }),
      ...(plan.args.length > 0 && { command: plan.args }),
      ...container,
      ...(networkAlias !== undefined && { networkAlias }),
    },
    hostPort: isPublished ? hostPort : undefined,
    anyPort: port === 0,
    putFiles: (id: string) =>
      putFiles(
        tools.runtime,
        id,
        [...(how.initialise ? plan.initFiles : []), ...plan.files],
        signal,
      ),
  };
  return launch(tools, wanted, signal);
}

/**
 * Fills new volumes from the bundle, which is used up by it, and starts the database on them.
 * @param how `golden`: they stay as they are, and it writes to clones of them
 * @throws `container-unhealthy` also for a server that holds nothing of what it should; `snapshot-incompatible` for one
 *   that does not read the data as the one that wrote it
 */
export async function serveRestored(
  run: Run,
  bundle: Bundle<DatabaseManifest>,
  how: { readonly golden: boolean },
): Promise<Database> {
  const { tools, plan, settings, phases, signal } = run;
  const { reference } = plan.image;
  const upgrade = upgradeOf(bundle.manifest, plan.target);
  if (upgrade !== undefined) tools.log.info(`the server will upgrade the data: ${upgrade}`);
  await phases.timed('restore', () =>
    tools.log.group('Restore', () =>
      restoreVolumes(tools, bundle, plan.volumes, reference, settings.maxBytes, signal),
    ),
  );
  // A restored bundle is only a second copy on a disk that may be small.
  await rm(bundle.dir, { recursive: true });
  const database = await phases.timed('ready', async () => {
    const volumes = how.golden ? await liveVolumes(run) : plan.volumes;
    return serve(run, volumes, { initialise: false });
  });
  const problem = plan.engine.restoredProblem?.(database.printed);
  if (problem !== undefined) {
    throw new AppError('snapshot-incompatible', problem, {
      hint: 'Give the image by its digest to decide yourself when it changes',
    });
  }
  await requireItems(run, database, bundle.manifest.engine.items);
  return database;
}

/**
 * Redis that is told to use append-only files starts with no keys beside a dump that is full of them, and with old ones
 * beside files that it has ceased to write.
 * @throws `container-unhealthy`
 */
export async function requireItems(
  run: Run,
  database: Database,
  expected: number | null,
): Promise<void> {
  if (expected === null) return;
  const { runtime } = run.tools;
  const patience = { timeoutMs: run.settings.waitTimeoutMs, signal: run.signal };
  const found = await countItems(runtime, database, patience);
  if (found === expected) return;
  throw new AppError(
    'container-unhealthy',
    `the server holds ${found ?? 0} items after its start, and ${expected} were saved`,
    {
      hint: 'Look whether "args", or settings changed in "seed", make it read other files than it has written',
      details: await runtime.logs(database.id, logTailLines),
    },
  );
}

/** The user's check, where there is one. @throws `check-failed` */
export async function check(run: Run, database: Database): Promise<void> {
  const { tools, settings, phases, signal } = run;
  const script = settings.check;
  if (script === undefined) return;
  await phases.timed('check', () =>
    tools.log.group('Check', () =>
      runUserScript(tools, 'check', script, scriptEnv(database), database.id, signal),
    ),
  );
}

/** What may be the snapshot's fault: then seeding is the way out. A taken port or a dead engine is not. */
const unusable: ReadonlySet<AppError['code']> = new Set([
  'snapshot-corrupt',
  'snapshot-incompatible',
  'copy-failed',
  'container-unhealthy',
  'check-failed',
]);

/** After a failed try with a snapshot: removes what was made, and returns why it is no good. Other errors go on. */
export async function discard(run: Run, what: string, error: unknown): Promise<AppError> {
  const { tools, who, phases, signal } = run;
  signal.throwIfAborted();
  if (!(error instanceof AppError) || !unusable.has(error.code)) throw error;
  warn(run, `${what} cannot be used`, error);
  await removeMade(tools.runtime, runLabels(who.owner.run));
  phases.discard('restore', 'ready', 'check');
  return error;
}

export function warn({ tools }: Run, what: string, error: AppError): void {
  tools.log.warn(`${what}: ${explain(error)}`);
  for (const line of error.details) tools.log.info(line);
}

export function reportOf(
  { tools, settings, plan, who, phases }: Run,
  { id, endpoint, volumes }: Database,
  facts: Pick<StartReport, 'outcome' | 'missReason' | 'matchedKey' | 'snapshot' | 'save'>,
): StartReport {
  const url = plan.engine.url(endpoint);
  if (isSecret(plan.engine, endpoint.password)) tools.log.mask(url);
  const times = timesOf(phases);
  return {
    ...facts,
    key: plan.key,
    keyParts: plan.keyParts,
    store: tools.store.name,
    name: who.owner.name,
    engine: plan.engine.id,
    image: settings.image,
    container: id,
    volume: volumes[0]?.volume ?? '',
    endpoint,
    url,
    clones: [],
    ...times,
    savings:
      facts.outcome === 'hit' && facts.snapshot
        ? savingsOf(facts.snapshot, times.criticalPath)
        : undefined,
  };
}

export function timesOf(phases: Phases): Pick<StartReport, 'phases' | 'seconds' | 'criticalPath'> {
  const seconds = phases.seconds();
  return {
    phases: phases.list(),
    seconds,
    criticalPath: criticalPath(phases.list(), seconds.total),
  };
}
