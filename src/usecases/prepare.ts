import { rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';

import { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { ImageFacts } from '../runtime/runtime.ts';
import type { Settings } from '../settings.ts';
import type { RunIdentity, StoreTools } from './context.ts';
import { explainMiss } from './explain.ts';
import type { Phases } from './phases.ts';
import { makePlan, type Plan } from './plan.ts';
import { fetchSnapshot, judge, type Fetched, type Search } from './search.ts';

/** What is decided before anything is created. */
export interface Prepared {
  readonly plan: Plan;
  readonly search: Search;
}

/**
 * The image is there, the plan is made, its snapshot was looked for. An image that must be pulled is not waited for: most
 * often its key is known beforehand, and the snapshot comes at the same time. When it rejects, neither goes on, and of
 * the snapshot nothing is left.
 * @throws `image-unavailable`, `invalid-settings`, `wrong-key`
 */
export async function prepare(
  tools: StoreTools,
  settings: Settings,
  who: RunIdentity,
  phases: Phases,
  signal: AbortSignal,
): Promise<Prepared> {
  const { runtime, log } = tools;
  const look = (plan: Plan, limit: AbortSignal): Promise<Fetched> =>
    lookFor(tools, plan, settings, phases, limit);
  // With its type given like this, the compiler sees that the callback may set it.
  let early = undefined as EarlyLook | undefined;
  try {
    const image = await phases.timed('image', () =>
      runtime.ensureImage(settings.image, signal, () => {
        log.info(`pulling ${settings.image}`);
        early = lookEarly(expectedPlan(tools, settings, who), look, signal);
      }),
    );
    const plan = await makePlan(settings, image, who);
    const expected = await early?.expected;
    const isExpected = expected?.key === plan.key;
    if (expected && !isExpected) {
      await early?.abandon();
      phases.discard('search');
    }
    const fetched = (isExpected && (await early?.fetching)) || (await look(plan, signal));
    // A key that was given holds with other parts, too.
    if (isExpected && !isDeepStrictEqual(expected.keyParts, plan.keyParts)) await show(log, plan);
    return { plan, search: await judge(tools, fetched, plan, settings) };
  } catch (error) {
    await early?.abandon();
    throw error;
  }
}

function show(log: Log, { key, keyParts }: Plan): Promise<void> {
  return log.group(`Key ${key}`, () => {
    for (const { name, value } of keyParts) log.info(`${name}: ${value}`);
    return Promise.resolve();
  });
}

/** Prints the key, then fetches its snapshot. While an image is pulled, nobody else writes to the log. */
async function lookFor(
  tools: StoreTools,
  plan: Plan,
  settings: Settings,
  phases: Phases,
  signal: AbortSignal,
): Promise<Fetched> {
  const { store, log } = tools;
  await show(log, plan);
  return phases.timed('search', () =>
    log.group(`Look for a snapshot (${store.name})`, () =>
      fetchSnapshot(
        tools,
        { primary: plan.key, prefixes: settings.restoreKeys },
        () => explainMiss(store, plan.keyParts, settings.key, signal),
        signal,
      ),
    ),
  );
}

/** A look-up by the plan that is to be expected; `undefined` where there is none. */
interface EarlyLook {
  readonly expected: Promise<Plan | undefined>;
  readonly fetching: Promise<Fetched | undefined>;
  /** Ends it, and removes what it has brought. */
  abandon(): Promise<void>;
}

function lookEarly(
  expected: Promise<Plan | undefined>,
  look: (plan: Plan, signal: AbortSignal) => Promise<Fetched>,
  signal: AbortSignal,
): EarlyLook {
  const abandoned = new AbortController();
  const fetching = expected.then(
    (plan) => plan && look(plan, AbortSignal.any([signal, abandoned.signal])),
  );
  fetching.catch(() => undefined); // whoever waits for it is told
  return {
    expected,
    fetching,
    async abandon() {
      abandoned.abort();
      const fetched = await fetching.catch(() => undefined);
      if (fetched?.kind === 'loaded')
        await rm(fetched.bundle.dir, { recursive: true, force: true });
    },
  };
}

/** As far as an image that is not here yet can be known; `undefined` where that is not enough for a key. */
async function expectedPlan(
  { runtime }: StoreTools,
  settings: Settings,
  who: RunIdentity,
): Promise<Plan | undefined> {
  const { engine, image: reference } = settings;
  try {
    const { architecture } = await runtime.info();
    const image: ImageFacts = {
      ...{ reference, id: '', digest: undefined, architecture, os: 'linux' },
      env: engine.expectedEnv?.(reference) ?? {},
      ...{ volumes: [], ports: [], stopSignal: undefined, user: '' },
    };
    return await makePlan(settings, image, who);
  } catch (error) {
    if (error instanceof AppError) return undefined; // with the image there it shows again, or not at all
    throw error;
  }
}
