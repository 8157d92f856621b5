import { AppError, toAppError } from '../errors.ts';
import { runLabels } from '../runtime/labels.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import type { Settings } from '../settings.ts';
import type { Bundle } from '../snapshot/bundle.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import { makeClones } from './clone.ts';
import type { RunIdentity, StoreTools } from './context.ts';
import { describePath } from './critical-path.ts';
import { maskPassword } from './mask-password.ts';
import { measurePhases } from './phases.ts';
import { prepare } from './prepare.ts';
import { cleanUp, forgetStarting } from './remove.ts';
import { reportSnapshot, type StartReport } from './report.ts';
import { check, discard, reportOf, serveRestored, timesOf, type Run } from './run.ts';
import { withScriptsIn } from './scripts.ts';
import { seed } from './seed.ts';
import { keyHolderAfter, type Miss, type Search } from './search.ts';
import { notStarted, requireNameFree } from './started.ts';
import { noteStarting } from './starting.ts';

/**
 * A database of this image: restored from the snapshot of its key, else seeded and snapshotted. When it resolves the
 * database serves; when it rejects, nothing that it made is left; when its process is killed, `recover` removes that.
 * @throws `name-taken` while another process starts a database of this name
 */
export async function start(
  given: StoreTools,
  settings: Settings,
  who: RunIdentity,
  signal: AbortSignal,
): Promise<StartReport> {
  const tools = withScriptsIn(given, settings.workingDirectory);
  const { runtime, log, clock } = tools;
  const phases = measurePhases(clock);
  const { owner } = who;
  maskPassword(log, settings.engine, settings.credentials);
  await runtime.info();
  await requireNetwork(runtime, settings.network, signal);
  signal.throwIfAborted();
  await noteStarting(runtime, owner);
  try {
    // Only now: one of this name may have been started a moment ago, and its note be gone.
    if (who.uniqueName) await requireNameFree(runtime, owner, signal);
    const { plan, search } = await prepare(tools, settings, who, phases, signal);
    const run = { tools, settings, who, plan, phases, signal };
    const report = await withClones(run, await restoreOrSeed(run, search));
    await forgetStarting(runtime, runLabels(owner.run));
    log.info(describePath(report.criticalPath, report.seconds.total));
    return report;
  } catch (error) {
    await cleanUp(tools, owner.run);
    throw toAppError(error);
  }
}

/** The engine's own, that no database joins by name. */
const ownNetworks: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** @throws `invalid-settings` for a network that the engine does not have, by name or id */
async function requireNetwork(
  runtime: ContainerRuntime,
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (wanted === undefined) return;
  const networks = await runtime.listNetworks(signal);
  if (networks.some(({ id, name }) => name === wanted || id.startsWith(wanted))) return;
  const names = networks.map(({ name }) => name).filter((name) => !ownNetworks.has(name));
  throw new AppError('invalid-settings', `network: the engine has no network ${wanted}`, {
    hint: `Make it first ("docker network create ${wanted}"), or leave "network" out. There is: ${names.join(', ') || 'none'}`,
  });
}

async function restoreOrSeed(run: Run, search: Search): Promise<StartReport> {
  const { tools, settings } = run;
  const { log } = tools;
  let miss: Miss =
    search.kind === 'none'
      ? search
      : { reason: `only a base snapshot: ${search.bundle.manifest.key}`, keyHolder: 'none' };
  if (search.kind === 'found' && search.exact) {
    const hit = await tryHit(run, search.bundle);
    if (!(hit instanceof AppError)) return hit;
    const reason = `the snapshot cannot be used: ${hit.message}`;
    miss = { reason, keyHolder: keyHolderAfter(search.occupied, hit) };
  }
  log.info(`Miss: ${miss.reason}`);
  if (settings.failOnMiss) {
    throw new AppError('snapshot-missing', `no snapshot to restore: ${miss.reason}`, {
      hint: 'Run the job that saves it first, with "save" set to true, or set "fail-on-miss" to false',
    });
  }
  const base = search.kind === 'found' && !search.exact ? search.bundle : undefined;
  return seed(run, base, miss);
}

async function withClones(run: Run, report: StartReport): Promise<StartReport> {
  const { tools, settings, who, phases, signal } = run;
  const { clones: count, waitTimeoutMs } = settings;
  if (count === 0) return report;
  const { runtime, log } = tools;
  const request = { owner: who.owner, count, waitTimeoutMs };
  const clones = await phases.timed('clones', () =>
    log.group('Clones', async () => {
      const container = await runtime.inspectContainer(report.container, signal);
      if (!container) throw await notStarted(runtime, who.owner);
      return makeClones(tools, request, container, signal);
    }),
  );
  return { ...report, clones, ...timesOf(phases) };
}

/** The hit, or why the snapshot could not be used; then nothing of it is left. */
async function tryHit(run: Run, bundle: Bundle<DatabaseManifest>): Promise<StartReport | AppError> {
  const { key } = run.plan;
  try {
    const snapshot = await reportSnapshot(bundle); // the bundle is used up by what follows
    const database = await serveRestored(run, bundle, { golden: true });
    await check(run, database);
    return reportOf(run, database, {
      outcome: 'hit',
      missReason: undefined,
      matchedKey: key,
      snapshot,
      save: { kind: 'skipped', reason: 'it was restored' },
    });
  } catch (error) {
    return discard(run, `the snapshot ${key}`, error);
  }
}
