import { posix } from 'node:path';

import type { DataState, Endpoint, Engine, InnerCommand, ReadDataFile } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { logTailLines } from '../runtime/health.ts';
import type { ContainerRuntime, ExecResult } from '../runtime/runtime.ts';
import { longestPrefix } from '../paths.ts';
import { largestTablesLimit, tableNameLimit, type LargeTable } from '../snapshot/manifest.ts';
import { extractHead } from '../runtime/small-tar.ts';
import type { Tools } from './context.ts';

// What is asked of a server, and of its files, before they are copied.

/** A database whose volumes are to be copied. */
export interface DataSource {
  /** Of its container. */
  readonly id: string;
  readonly engine: Engine;
  readonly endpoint: Endpoint;
  readonly dataPath: string;
  /** Of the volumes that are copied, its own first. */
  readonly mountPaths: readonly string[];
  /** When it was ready, where that is known: a database that was restarted since may have lost its last writes. */
  readonly startedAt?: string;
  /** By `whileSuspended`, which lets it go on. */
  readonly suspended?: true;
}

/** More than any of the small files that say how a database was left. */
const headBytes = 64 * 1024;

/** What the data folder says. @throws `unclean-shutdown` when it is none, or holds nothing though the server did */
export async function usableData(
  runtime: ContainerRuntime,
  target: DataSource,
  items: number | null,
): Promise<DataState> {
  const { engine, endpoint } = target;
  const data = await engine.dataState(dataReader(runtime, target), endpoint);
  const problem =
    data.unusable ??
    (data.empty === true && (items ?? 0) > 0
      ? `the server held ${items ?? 0} items and its files hold none`
      : undefined);
  if (problem !== undefined) throw await uncleanError(runtime, target, problem);
  return data;
}

/**
 * Why the volume will not hold what is put into a database that has just been made; `undefined` where it will, or nobody
 * can tell. Its files are looked at first: the server need not be asked where they are there. One that has written none
 * so far (Redis) will do so in the folder that it names.
 */
export async function dataElsewhere(
  runtime: ContainerRuntime,
  target: DataSource,
  patience: Patience,
): Promise<AppError | undefined> {
  const { id, engine, endpoint, dataPath } = target;
  const { unusable } = await engine.dataState(dataReader(runtime, target), endpoint);
  if (unusable === undefined || !engine.dataFolder) return undefined;
  const what = 'say where its data lies';
  const answer = await ask(runtime, id, engine.dataFolder(endpoint), what, patience);
  const folder = answer.exitCode === 0 ? /^\/.*?(?=\/?\s*$)/m.exec(answer.output)?.[0] : undefined;
  if (folder === undefined || posix.relative(folder, dataPath) === '') return undefined;
  return elsewhereError(`the database keeps its data in ${folder}, not in ${dataPath}`, folder);
}

/** @param path where the data is, if it is known */
export function elsewhereError(problem: string, path = 'the folder with its data'): AppError {
  return new AppError('invalid-settings', `nothing would be saved: ${problem}`, {
    hint: `Set "data-path" to ${path}; or, for a database without a snapshot, "save" to false and "reset" to off`,
  });
}

export function dataReader(
  runtime: ContainerRuntime,
  { id, dataPath }: Pick<DataSource, 'id' | 'dataPath'>,
): ReadDataFile {
  return async (path) => {
    const tar = await runtime.getArchive(id, `${dataPath}/${path}`);
    return tar && extractHead(tar, headBytes);
  };
}

/**
 * How many items the running server holds. `null` where its engine does not count.
 * @throws `container-unhealthy` when it does not say
 */
export async function countItems(
  runtime: ContainerRuntime,
  { id, engine, endpoint }: Pick<DataSource, 'id' | 'engine' | 'endpoint'>,
  patience: Patience,
): Promise<number | null> {
  if (!engine.itemCount) return null;
  const what = 'say how much it holds';
  const { exitCode, output } = await ask(runtime, id, engine.itemCount(endpoint), what, patience);
  if (exitCode === 0 && /^\d+$/.test(output)) return Number(output);
  const problem = `the database in ${await nameOf(runtime, id)} does not ${what}: ${output}`;
  throw new AppError('container-unhealthy', problem, {
    details: await runtime.logs(id, logTailLines),
  });
}

/** A server that has to wait for locks is not waited for: its answer is only shown. */
const largestTablesTimeoutMs = 5000;

/** The largest tables of the running server, the largest first. None where it does not tell, or does not answer. */
export async function listLargestTables(
  runtime: ContainerRuntime,
  { id, engine, endpoint }: Pick<DataSource, 'id' | 'engine' | 'endpoint'>,
  signal: AbortSignal,
): Promise<readonly LargeTable[]> {
  const question = engine.largestTables?.(endpoint);
  if (!question) return [];
  const patience = { timeoutMs: largestTablesTimeoutMs, signal };
  try {
    const answer = await ask(runtime, id, question, 'name its largest tables', patience);
    return answer.exitCode === 0 ? readTables(answer.output) : [];
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AppError) return [];
    throw error;
  }
}

/** Names are anybody's text, and lines that are none of ours may stand between. */
function readTables(output: string): LargeTable[] {
  return output
    .split('\n')
    .flatMap((line) => {
      const [, bytes, name] = /^(\d{1,15})\t(.+)$/.exec(line) ?? [];
      return name === undefined
        ? []
        : { name: name.slice(0, tableNameLimit), bytes: Number(bytes) };
    })
    .slice(0, largestTablesLimit);
}

/** @throws `invalid-settings` for a server whose files would not hold everything while it is paused */
export async function requirePausable(
  runtime: ContainerRuntime,
  { id, engine, endpoint }: DataSource,
  patience: Patience,
): Promise<void> {
  const question = engine.pausable?.(endpoint);
  if (!question) return;
  const { exitCode } = await ask(runtime, id, question, 'say how it keeps its data', patience);
  if (exitCode === 0) return;
  throw new AppError('invalid-settings', question.refusal, { hint: 'Set "quiesce" to stop' });
}

/** How long a server may take to answer. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Runs a command inside. One that hangs, as with a server that does not answer, is given up. */
async function ask(
  runtime: ContainerRuntime,
  id: string,
  { command, env }: InnerCommand,
  what: string,
  { timeoutMs, signal }: Patience,
): Promise<ExecResult> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const result = await runtime.exec(id, command, env, AbortSignal.any([signal, deadline]));
    return { ...result, output: result.output.trim() };
  } catch (error) {
    if (signal.aborted || !deadline.aborted) throw error;
    throw new AppError(
      'container-unhealthy',
      `the database in ${await nameOf(runtime, id)} did not ${what} within ${timeoutMs / 1000} s`,
      { details: await runtime.logs(id, logTailLines) },
    );
  }
}

/** A stack may have several databases. */
async function nameOf(runtime: ContainerRuntime, id: string): Promise<string> {
  return (await runtime.inspectContainer(id))?.name ?? id;
}

export async function uncleanError(
  runtime: ContainerRuntime,
  { id, dataPath }: DataSource,
  problem: string,
): Promise<AppError> {
  const name = await nameOf(runtime, id);
  return new AppError('unclean-shutdown', `no snapshot of ${dataPath} in ${name}: ${problem}`, {
    details: await runtime.logs(id, logTailLines),
  });
}

/**
 * Looks for tablespaces and the like on other disks, which the restored server would miss.
 * @throws `unclean-shutdown` naming the first one
 */
export async function refuseOutsideData(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  source: DataSource,
  patience: Patience,
): Promise<void> {
  const { id, engine, endpoint, mountPaths } = source;
  if (!engine.dataFiles) return;
  const what = 'say where its data lies';
  const answer = await ask(runtime, id, engine.dataFiles(endpoint), what, patience);
  if (answer.exitCode !== 0)
    log.warn(`the database in ${await nameOf(runtime, id)} did not ${what}: ${answer.output}`);
  const outside = answer.output
    .split('\n')
    .find((path) => path.startsWith('/') && longestPrefix(mountPaths, path) === undefined);
  if (answer.exitCode === 0 && outside !== undefined) throw outsideError(outside);
}

/** For data that none of the volumes holds. */
export function outsideError(what: string): AppError {
  return new AppError(
    'unclean-shutdown',
    `${what} is in none of the volumes: it would be missing`,
    {
      hint: 'Hold that folder as well, with "volumes-extra", or keep all data in one folder',
    },
  );
}

/** @throws `unclean-shutdown` when the server does not write what it has in memory */
export async function flush(
  runtime: ContainerRuntime,
  target: DataSource,
  patience: Patience,
): Promise<void> {
  const { id, engine, endpoint } = target;
  if (!engine.flush) return;
  const what = 'write what it has in memory';
  const { exitCode, output } = await ask(runtime, id, engine.flush(endpoint), what, patience);
  if (exitCode === 0) return;
  throw await uncleanError(runtime, target, `it did not ${what}: ${output}`);
}
