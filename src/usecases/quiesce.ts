import { secondsSince } from '../clock.ts';
import type { DataState, Engine } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { logTailLines } from '../runtime/health.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';
import type { CopySettings } from '../settings.ts';
import type { Consistency, LeftOut } from '../snapshot/manifest.ts';
import { withAftermath } from '../aftermath.ts';
import type { Tools } from './context.ts';
import { startCommand } from './orchestrators.ts';
import {
  countItems,
  flush,
  refuseOutsideData,
  requirePausable,
  uncleanError,
  usableData,
  type DataSource,
  type Patience,
} from './probes.ts';
import { runUserScript, scriptEnv } from './scripts.ts';
import { findWorthless } from './worthless.ts';

export type QuiesceSettings = Pick<
  CopySettings,
  'quiesce' | 'stopTimeoutMs' | 'beforeCopy' | 'afterCopy' | 'trim'
>;

/** Copies, but for what is of no use; that is below the data folder. */
export type Copy<T> = (worthless: readonly LeftOut[]) => Promise<T>;

/** In which state the files were when they were copied, and what they are. */
export interface Quiesced<T> {
  readonly copied: T;
  readonly consistency: Consistency;
  readonly dataVersion: string | null;
  /** What the server said it held. `null` where its engine does not count. */
  readonly items: number | null;
}

/**
 * Runs `copy` while the database is in a state that can be copied. Afterwards one that was stopped is still stopped;
 * one that was paused goes on, whatever happened, unless it is `suspended`.
 * @throws `unclean-shutdown` when its files must not become a snapshot; `invalid-settings` for a way that would lose
 *   data; `hook-failed`; what `copy` throws
 */
export function whileQuiesced<T>(
  tools: Tools,
  target: DataSource,
  settings: QuiesceSettings,
  copy: Copy<T>,
  signal: AbortSignal,
): Promise<Quiesced<T>> {
  const patience = { timeoutMs: settings.stopTimeoutMs, signal };
  switch (settings.quiesce) {
    case 'stop':
      return whileStopped(tools, target, settings, patience, copy);
    case 'pause':
      return whilePaused(tools, target, patience, copy);
    case 'none':
      return betweenHooks(tools, target, settings, patience, copy);
  }
}

async function whileStopped<T>(
  tools: Tools,
  target: DataSource,
  { trim }: QuiesceSettings,
  patience: Patience,
  copy: Copy<T>,
): Promise<Quiesced<T>> {
  const { runtime, log, clock } = tools;
  const { signal } = patience;
  const { id, engine } = target;
  const before = await runtime.inspectContainer(id, signal);
  if (before) {
    refusePaused(before);
    refuseUnstoppable(before, engine);
  }
  const items = before?.running ? await lookInside(tools, target, before, patience) : null;
  const startMs = clock.monotonicMs();
  const exitCode = await shutDown(runtime, target, patience.timeoutMs);
  const stopSeconds = secondsSince(clock, startMs);
  const data = await usableData(runtime, target, items);
  if (data.unclean !== undefined) throw await uncleanError(runtime, target, data.unclean);
  log.info(`stopped in ${stopSeconds} s: exit code ${exitCode}, ${data.mark}`);
  const copied = await copy(trim && before ? await findWorthless(runtime, target, before) : []);
  const after = await runtime.inspectContainer(id, signal);
  if (!after || after.running || after.startedAt !== before?.startedAt) {
    throw await uncleanError(runtime, target, 'it was started while it was copied');
  }
  return {
    copied,
    items,
    consistency: { method: 'stop', exitCode, mark: data.mark },
    dataVersion: data.version,
  };
}

/** @throws `invalid-settings` for a container that would take its data along, or has ended without writing it */
export function refuseUnstoppable(
  { name, labels, autoRemove, running }: ContainerState,
  { id, shutdown }: Engine,
): void {
  if (autoRemove) {
    throw new AppError(
      'invalid-settings',
      `the container ${name} was started with --rm: stopping it would remove it, and its anonymous volumes`,
      { hint: 'Start it without --rm, or set "quiesce" to pause' },
    );
  }
  if (!running && shutdown) {
    throw new AppError(
      'unclean-shutdown',
      `the container ${name} has ended already, and ${id} does not always write its data when it is told to stop`,
      {
        hint: `Start it again with "${startCommand({ name, labels })}", and look whether its data is there`,
      },
    );
  }
}

/** Lets the server end. Resolves with its exit code. @throws `unclean-shutdown` */
export async function shutDown(
  runtime: ContainerRuntime,
  target: DataSource,
  graceMs: number,
): Promise<number> {
  const { id, engine, endpoint } = target;
  const before = await runtime.inspectContainer(id);
  if (engine.shutdown) {
    const deadline = AbortSignal.timeout(graceMs);
    const { command, env } = engine.shutdown(endpoint);
    // It ends together with the server, in the middle of the answer: only what was said before counts.
    const answer = await runtime.exec(id, command, env, deadline).catch(() => undefined);
    const refusal = answer?.output.trim() ?? '';
    if (refusal === '') await runtime.waitForExit(id, deadline).catch(() => undefined);
    // One that has its data in memory is not killed: it would be lost.
    if ((await runtime.inspectContainer(id))?.running) {
      throw await uncleanError(
        runtime,
        target,
        refusal === ''
          ? `it did not shut down within ${graceMs / 1000} s ("stop-timeout")`
          : `it did not shut down: ${refusal}`,
      );
    }
  }
  const exitCode = await runtime.stopContainer(id, graceMs);
  if (engine.cleanExitCodes.includes(exitCode)) return exitCode;
  const name = before?.name ?? id;
  const killed = exitCode === 137 && before?.running === true;
  const raise = killed ? 'Raise "stop-timeout"' : undefined;
  const hint = engine.uncleanHint?.(exitCode, name) ?? raise;
  throw new AppError(
    'unclean-shutdown',
    `the container ${name} ended with exit code ${exitCode}${killed ? ` (killed: it did not stop within ${graceMs / 1000} s)` : ''}, its data cannot be trusted`,
    { ...(hint !== undefined && { hint }), details: await runtime.logs(id, logTailLines) },
  );
}

async function whilePaused<T>(
  tools: Tools,
  target: DataSource,
  patience: Patience,
  copy: Copy<T>,
): Promise<Quiesced<T>> {
  const { runtime, log } = tools;
  const { id, engine } = target;
  const before = await requireRunning(runtime, id, patience.signal);
  const items = await lookInside(tools, target, before, patience);
  await requirePausable(runtime, target, patience);
  if (!engine.flush && !engine.pausable) {
    log.info(`${engine.id}: what it holds in memory only will not be in the copy`);
  }
  await flush(runtime, target, patience);
  const work = async (): Promise<Quiesced<T>> => {
    await runtime.pauseContainer(id);
    const data = await usableData(runtime, target, items);
    log.info(`paused: ${data.mark}`);
    const copied = await copy([]);
    const after = await runtime.inspectContainer(id, patience.signal);
    if (!after?.paused || after.startedAt !== before.startedAt) {
      throw await uncleanError(runtime, target, 'it went on while it was copied');
    }
    return running('pause', copied, data, items);
  };
  if (target.suspended) return work();
  return withAftermath(log, work, () => runtime.unpauseContainer(id));
}

async function betweenHooks<T>(
  tools: Tools,
  target: DataSource,
  { beforeCopy, afterCopy }: QuiesceSettings,
  patience: Patience,
  copy: Copy<T>,
): Promise<Quiesced<T>> {
  const { runtime, log } = tools;
  const { signal } = patience;
  const state = await requireRunning(runtime, target.id, signal);
  const items = await lookInside(tools, target, state, patience);
  await flush(runtime, target, patience);
  const hook = async (
    what: 'before-copy' | 'after-copy',
    script: string | undefined,
    until: AbortSignal,
  ): Promise<void> => {
    if (script === undefined) return;
    await runUserScript(tools, what, script, scriptEnv(target), target.id, until);
  };
  const work = async (): Promise<Quiesced<T>> => {
    await hook('before-copy', beforeCopy, signal);
    const data = await usableData(runtime, target, items);
    log.info(`neither stopped nor paused: ${data.mark}`);
    return running('none', await copy([]), data, items);
  };
  // A cancelled copy needs the second hook as well: whatever the first one locked must be released.
  const never = new AbortController().signal;
  return withAftermath(log, work, () => hook('after-copy', afterCopy, never));
}

function running<T>(
  method: 'pause' | 'none',
  copied: T,
  { mark, version }: DataState,
  items: number | null,
): Quiesced<T> {
  return { copied, items, consistency: { method, exitCode: null, mark }, dataVersion: version };
}

/** What must be asked while the server still answers. Returns how many items it holds. */
async function lookInside(
  tools: Tools,
  target: DataSource,
  { startedAt }: ContainerState,
  patience: Patience,
): Promise<number | null> {
  if (target.startedAt !== undefined && target.startedAt !== startedAt) {
    const problem =
      'it was restarted after the database was ready, which may have cost its last writes';
    throw await uncleanError(tools.runtime, target, problem);
  }
  await refuseOutsideData(tools, target, patience);
  return countItems(tools.runtime, target, patience);
}

async function requireRunning(
  runtime: ContainerRuntime,
  id: string,
  signal: AbortSignal,
): Promise<ContainerState> {
  const state = await runtime.inspectContainer(id, signal);
  if (state) refusePaused(state);
  if (state?.running) return state;
  throw new AppError('container-unhealthy', `the container ${state?.name ?? id} is not running`, {
    hint: 'Set "quiesce" to stop for one that has ended cleanly',
    details: await runtime.logs(id, logTailLines),
  });
}

/** Somebody else has paused it: it is not ours to let it go on. @throws `container-unhealthy` */
export function refusePaused({ name, paused }: ContainerState): void {
  if (!paused) return;
  throw new AppError('container-unhealthy', `the container ${name} is paused`, {
    hint: `Let it go on with "docker unpause ${name}"`,
  });
}
