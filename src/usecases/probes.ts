import type { DataState, Endpoint, Engine } from '../engines/engine.ts';
import { AppError } from '../errors.ts';
import { logTailLines } from '../runtime/health.ts';
import type { ContainerRuntime } from '../runtime/runtime.ts';
import { extractHead } from '../runtime/small-tar.ts';

// What is asked of a server, and of its files, before they are copied.

/** A database whose volumes are to be copied. */
export interface DataSource {
  /** Of its container. */
  readonly id: string;
  readonly engine: Engine;
  readonly endpoint: Endpoint;
  readonly dataPath: string;
}

/** More than any of the small files that say how a database was left. */
const headBytes = 64 * 1024;

/** What the data folder says. @throws `unclean-shutdown` when it is none, or holds nothing though the server did */
export async function usableData(
  runtime: ContainerRuntime,
  target: DataSource,
  items: number | null,
): Promise<DataState> {
  const { id, engine, dataPath } = target;
  const data = await engine.dataState(async (path) => {
    const tar = await runtime.getArchive(id, `${dataPath}/${path}`);
    return tar && extractHead(tar, headBytes);
  });
  const problem =
    data.unusable ??
    (data.empty === true && (items ?? 0) > 0
      ? `the server held ${items ?? 0} items and its files hold none`
      : undefined);
  if (problem !== undefined) throw await uncleanError(runtime, target, problem);
  return data;
}

/** How many items the running server holds. `null` where its engine does not count. */
export async function countItems(
  runtime: ContainerRuntime,
  { id, engine, endpoint }: Pick<DataSource, 'id' | 'engine' | 'endpoint'>,
  signal: AbortSignal,
): Promise<number | null> {
  if (!engine.itemCount) return null;
  const { command, env } = engine.itemCount(endpoint);
  const { exitCode, output } = await runtime.exec(id, command, env, signal);
  if (exitCode === 0 && /^\d+$/.test(output.trim())) return Number(output.trim());
  throw new AppError('container-unhealthy', `the database does not say how much it holds`, {
    details: [output.trim(), ...(await runtime.logs(id, logTailLines))],
  });
}

export async function uncleanError(
  runtime: ContainerRuntime,
  { id, dataPath }: DataSource,
  problem: string,
): Promise<AppError> {
  return new AppError('unclean-shutdown', `no snapshot of ${dataPath}: ${problem}`, {
    details: await runtime.logs(id, logTailLines),
  });
}

/** @throws `unclean-shutdown` when the server does not write what it has in memory */
export async function flush(
  runtime: ContainerRuntime,
  target: DataSource,
  signal: AbortSignal,
): Promise<void> {
  const { id, engine, endpoint } = target;
  if (!engine.flush) return;
  const { command, env } = engine.flush(endpoint);
  const { exitCode, output } = await runtime.exec(id, command, env, signal);
  if (exitCode === 0) return;
  throw await uncleanError(runtime, target, `it was not flushed: ${output.trim()}`);
}
