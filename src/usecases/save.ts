import { secondsSince } from '../clock.ts';
import { AppError } from '../errors.ts';
import { waitUntilReady } from '../runtime/health.ts';
import type { Owner } from '../runtime/labels.ts';
import type { ContainerState } from '../runtime/runtime.ts';
import type { CopySettings } from '../settings.ts';
import { writeBundle, type Bundle } from '../snapshot/bundle.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import type { StoreTools, Tools } from './context.ts';
import {
  describeSaved,
  requireKeyFree,
  storeBundle,
  type Destination,
  type SavedSnapshot,
  type SaveSeconds,
} from './destination.ts';
import { countItems } from './probes.ts';
import { refusePaused } from './quiesce.ts';
import { startAgain } from './go-on.ts';
import { suspensionOf, whileNotReset, whileSuspended } from './suspension.ts';
import { takeSnapshot } from './take.ts';
import { requireStarted } from './started.ts';
import { readStarted, type StartedSource } from './started-source.ts';
import { companyOf, storagesAt } from './writers.ts';
import { withScriptsIn } from './scripts.ts';

/** How long a server that serves may take to say how much it holds. */
const itemsTimeoutMs = 30_000;

export interface SaveRequest extends Pick<Owner, 'scope' | 'name'>, Destination {
  readonly settings: Omit<CopySettings, 'key' | 'store' | 'copy'>;
  /** Whatever says where the snapshot comes from. */
  readonly provenance: Readonly<Record<string, string>>;
}

export interface SaveReport {
  readonly key: string;
  readonly store: string;
  readonly name: string;
  readonly engine: string;
  readonly image: string;
  readonly container: string;
  readonly volumes: readonly string[];
  readonly snapshot: SavedSnapshot;
  readonly seconds: SaveSeconds;
}

/**
 * Saves what a started database holds now, under a key that is still free. A database that is stopped for it is
 * started again, the same container on the same port, whatever happened in between; one that had ended stays so.
 * @throws `container-missing`; `name-taken` for a key that has a snapshot; `unclean-shutdown`, `copy-failed`;
 *   `container-unhealthy` when the database does not come back; `store-unavailable`
 */
export async function save(
  given: StoreTools,
  request: SaveRequest,
  signal: AbortSignal,
): Promise<SaveReport> {
  const tools = withScriptsIn(given, request.settings.workingDirectory);
  const { runtime, store, log, clock } = tools;
  const { key } = request;
  const startMs = clock.monotonicMs();
  await requireKeyFree(store, request, signal);
  const container = await requireStarted(runtime, request, signal);
  const source = await readStarted(tools, container, request, signal);
  refusePaused(container);
  if (container.running) {
    // Before anything is stopped: afterwards nobody could tell whether the database serves again.
    const { engine, endpoint } = source;
    const { waitTimeoutMs } = request.settings;
    const { id } = container;
    await waitUntilReady(runtime, clock, id, engine.readiness(endpoint), waitTimeoutMs, signal);
  }
  const snapshotMs = clock.monotonicMs();
  const bundle = await log.group('Snapshot', async () => {
    const taken = await takeAndStartAgain(tools, container, source, request, signal);
    return container.running ? compareItems(tools, container, source, taken, signal) : taken;
  });
  const snapshotSeconds = secondsSince(clock, snapshotMs);
  await storeBundle(tools, request, bundle.dir, signal);
  return {
    key,
    store: store.name,
    name: request.name,
    engine: source.engine.id,
    image: source.image.reference,
    container: container.id,
    volumes: source.volumes.map(({ volume }) => volume),
    snapshot: await describeSaved(bundle),
    seconds: { snapshot: snapshotSeconds, total: secondsSince(clock, startMs) },
  };
}

async function takeAndStartAgain(
  tools: Tools,
  container: ContainerState,
  source: StartedSource,
  { settings, provenance }: SaveRequest,
  signal: AbortSignal,
): Promise<Bundle<DatabaseManifest>> {
  const { id } = container;
  const { engine, endpoint } = source;
  const facts = { provenance, initSeconds: null, seedSeconds: null };
  signal.throwIfAborted();
  const take = async (suspended = {}): Promise<Bundle<DatabaseManifest>> => {
    const database = { id, endpoint, ...suspended };
    return (await takeSnapshot(tools, source, database, settings, facts, signal)).bundle;
  };
  const { quiesce: how, stopTimeoutMs: graceMs, waitTimeoutMs } = settings;
  if (!container.running || how === 'none') return whileNotReset(tools, container, () => take());
  const mountPaths = source.volumes.map(({ mountPath }) => mountPath);
  const containers = await tools.runtime.listContainers({}, signal);
  const company = companyOf(container, containers, storagesAt(container, mountPaths));
  const selfEnding = engine.shutdown !== undefined;
  const suspension = suspensionOf(container, { how, order: 0, graceMs, company }, selfEnding);
  return whileSuspended(
    tools,
    suspension,
    () => take({ suspended: true }),
    async () => {
      await startAgain(tools, container, company, engine.readiness(endpoint), waitTimeoutMs);
    },
  );
}

/**
 * Items that came while it was saved are not in the snapshot: then their number says nothing. Items that went may have
 * been left in memory. @throws `unclean-shutdown`
 */
async function compareItems(
  { runtime, log }: Tools,
  { id }: ContainerState,
  { engine, endpoint }: StartedSource,
  bundle: Bundle<DatabaseManifest>,
  signal: AbortSignal,
): Promise<Bundle<DatabaseManifest>> {
  const { manifest, dir } = bundle;
  const { items } = manifest.engine;
  const patience = { timeoutMs: itemsTimeoutMs, signal };
  const now = items === null ? null : await countItems(runtime, { id, engine, endpoint }, patience);
  if (items === null || now === null || now === items) return bundle;
  if (now < items) {
    throw new AppError(
      'unclean-shutdown',
      `the database held ${items} items, and ${now} after it was saved`,
      { hint: 'Save it again while nobody removes any' },
    );
  }
  log.info(`${now - items} items came while it was saved: they are not in the snapshot`);
  return writeBundle(dir, { ...manifest, engine: { ...manifest.engine, items: null } });
}
