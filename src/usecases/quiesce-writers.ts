import { AppError } from '../errors.ts';
import type { CopySettings } from '../settings.ts';
import type { ContainerState } from '../runtime/runtime.ts';
import type { Storage } from '../runtime/volume-copier.ts';
import type { LeftOut, Writer } from '../snapshot/manifest.ts';
import { withAftermath } from '../aftermath.ts';
import type { Tools } from './context.ts';
import { startAgain, type ChangedPort } from './go-on.ts';
import { uncleanError, usableData } from './probes.ts';
import { whileQuiesced, type Copy, type Quiesced, type QuiesceSettings } from './quiesce.ts';
import { runHook } from './scripts.ts';
import { suspensionOf, whileNotReset, whileSuspended } from './suspension.ts';
import { manifestImage } from './take.ts';
import { findWorthless } from './worthless.ts';
import { startCommand } from './orchestrators.ts';
import { companyOf, refuseNewWriters, type VolumeWriter } from './writers.ts';

type Settings = QuiesceSettings & Pick<CopySettings, 'waitTimeoutMs'>;

/** What of each writer's data is of no use, below its data folder. */
export type Worthless = ReadonlyMap<VolumeWriter, readonly LeftOut[]>;

/** All that write to what is copied, and all containers that there are. */
export interface Writers {
  readonly writers: readonly VolumeWriter[];
  readonly storages: readonly Storage[];
  readonly containers: readonly ContainerState[];
}

/** The copy, in which state each writer was for it, and what is not as it was before. */
export interface QuiescedWriters<T> {
  readonly copied: T;
  readonly writers: readonly Writer[];
  readonly changedPorts: readonly ChangedPort[];
}

/**
 * Runs `copy` while all writers are at rest. They are stopped (or paused) one after the other, in their order, and go on
 * in the opposite one, whatever happened.
 * @throws as `whileQuiesced`; `container-unhealthy` when one does not come back
 */
export async function quiesceWriters<T>(
  tools: Tools,
  { writers, storages, containers }: Writers,
  settings: Settings,
  copy: (worthless: Worthless) => Promise<T>,
  signal: AbortSignal,
): Promise<QuiescedWriters<T>> {
  const changedPorts: ChangedPort[] = [];
  const worthless = new Map<VolumeWriter, readonly LeftOut[]>();
  const described: Writer[] = [];

  async function rest(at: number): Promise<T> {
    signal.throwIfAborted();
    const writer = writers[at];
    if (!writer) return copy(worthless);
    const { container, target, readiness } = writer;
    if (!container.running) {
      return whileNotReset(tools, container, async () => {
        described.push(await describeEnded(tools, writer));
        if (settings.trim && target.engine.cleanExitCodes.includes(container.exitCode)) {
          worthless.set(writer, await findWorthless(tools.runtime, target, container));
        }
        return rest(at + 1);
      });
    }
    const graceMs = Math.max(settings.stopTimeoutMs, container.stopTimeoutMs ?? 0);
    const how = settings.quiesce;
    // Those before it may have taken minutes. The copy would be refused in the end: this one need not be stopped for it.
    if (how !== 'none') await refuseNewWriters(tools.runtime, containers, storages, signal);
    const company = companyOf(container, containers, storages);
    const quiesce = (): Promise<Quiesced<T>> => {
      tools.log.info(`${verbs[how]} ${container.name} (${target.engine.id})`);
      const source = how === 'none' ? target : { ...target, suspended: true as const };
      const bare = { ...settings, stopTimeoutMs: graceMs, ...noHooks };
      const goOn: Copy<T> = (found) => {
        worthless.set(writer, found);
        return rest(at + 1);
      };
      return whileQuiesced(tools, source, bare, goOn, signal);
    };
    const selfEnding = target.engine.shutdown !== undefined;
    const quiesced =
      how === 'none'
        ? await whileNotReset(tools, container, quiesce)
        : await whileSuspended(
            tools,
            suspensionOf(container, { how, order: at, graceMs, company }, selfEnding),
            quiesce,
            async () => {
              const { waitTimeoutMs } = settings;
              changedPorts.push(
                ...(await startAgain(tools, container, company, readiness, waitTimeoutMs)),
              );
            },
          );
    described.push(describe(writer, quiesced));
    return quiesced.copied;
  }

  // What the first script writes to disk is looked at as well.
  const copied = await withHooks(tools, settings, () => rest(0), signal);
  return { copied, writers: described, changedPorts };
}

/** The user's scripts are run once, around all of it. */
const noHooks = { beforeCopy: undefined, afterCopy: undefined };

const verbs = { stop: 'stopping', pause: 'pausing', none: 'leaving alone' } as const;

function describe(
  { container, image, target }: VolumeWriter,
  { consistency, dataVersion }: Pick<Quiesced<unknown>, 'consistency' | 'dataVersion'>,
): Writer {
  return {
    ...{ container: container.name, engine: target.engine.id, dataVersion },
    ...{ image: manifestImage(image), consistency },
  };
}

/** It cannot be asked any more: what its files say has to do. @throws `unclean-shutdown` */
async function describeEnded({ runtime, log }: Tools, writer: VolumeWriter): Promise<Writer> {
  const { container, target } = writer;
  const data = await usableData(runtime, target, null);
  if (data.unclean !== undefined) {
    const error = await uncleanError(runtime, target, data.unclean);
    throw new AppError(error.code, `${container.name} has ended already: ${error.message}`, {
      hint: `Start it with "${startCommand(container)}": it is then stopped cleanly`,
      details: error.details,
    });
  }
  log.info(`${container.name} has ended already: ${data.mark}`);
  const { exitCode } = container;
  return describe(writer, {
    consistency: { method: 'stop', exitCode, mark: data.mark },
    dataVersion: data.version,
  });
}

async function withHooks<T>(
  tools: Tools,
  { beforeCopy, afterCopy }: Pick<Settings, 'beforeCopy' | 'afterCopy'>,
  work: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  // A cancelled copy needs the second one as well: whatever the first one locked must be released.
  const never = new AbortController().signal;
  return withAftermath(
    tools.log,
    async () => {
      await runHook(tools, 'before-copy', beforeCopy, signal);
      return work();
    },
    () => runHook(tools, 'after-copy', afterCopy, never),
  );
}
