import { randomUUID } from 'node:crypto';

import {
  composeArchiveTools,
  composeSnapshotTools,
  composeStoreTools,
  composeTools,
} from '../compose.ts';
import { AppError } from '../errors.ts';
import {
  inputNames,
  parseCopySettings,
  parseSettings,
  type CopySettings,
  type RawInputs,
} from '../settings.ts';
import type { SnapshotTools } from '../usecases/context.ts';
import { exportVolume } from '../usecases/export.ts';
import { importArchive } from '../usecases/import.ts';
import { restore } from '../usecases/restore.ts';
import { save } from '../usecases/save.ts';
import { start } from '../usecases/start.ts';
import { requireNameFree } from '../usecases/started.ts';
import { stop } from '../usecases/stop.ts';
import {
  inspectSnapshot,
  listSnapshots,
  removeSnapshot,
  verifySnapshot,
} from '../usecases/stored.ts';
import { exportRequest, importRequest } from './archive-flags.ts';
import type { Given } from './args.ts';
import type { CommandName } from './commands.ts';
import * as views from './output.ts';
import type { CliSurroundings } from './surroundings.ts';

/** Names that are given here are unique on this machine, for this tool. */
const scope = 'cli';

type Run = (given: Given, around: CliSurroundings, signal: AbortSignal) => Promise<views.View>;

/** One use case a command: read the flags, compose the tools, show the report. */
export const runs: Readonly<Record<CommandName, Run>> = {
  async start(given, around, signal) {
    const settings = parseSettings({ ...inputsOf(given), ...nameOf(given) }, around);
    const owner = { run: randomUUID(), name: settings.name, scope };
    const who = { owner, provenance: from('start'), cwd: around.cwd, untrusted: undefined };
    await using composed = await composeStoreTools(around, settings.copy, settings.store);
    await requireNameFree(composed.tools.runtime, owner, signal);
    const report = await start(composed.tools, settings, who, signal);
    for (const line of views.startLines(report)) around.log.info(line);
    return views.startView(report);
  },

  async stop({ argument: name }, around) {
    await using composed = await composeTools(around, 'auto');
    return views.stopView(name, await stop(composed.tools, { scope, name }));
  },

  async save(given, around, signal) {
    const settings = copySettings(given, around);
    const { key } = settings;
    if (key === undefined) throw missing('key', 'save');
    const request = { scope, name: given.argument, key, settings, provenance: from('save') };
    await using composed = await composeStoreTools(around, settings.copy, settings.store);
    return views.saveView(await save(composed.tools, request, signal));
  },

  async restore(given, around, signal) {
    const settings = copySettings(given, around);
    const { volume, image } = given.values;
    if (volume === undefined) throw missing('volume', 'restore');
    const request = { scope, key: given.argument, volume, image };
    await using composed = await composeStoreTools(around, settings.copy, settings.store);
    return views.restoreView(await restore(composed.tools, request, signal));
  },

  list: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      views.listView(await listSnapshots(tools, signal)),
    ),

  inspect: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      views.inspectView(await inspectSnapshot(tools, given.argument, signal)),
    ),

  verify: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      views.verifyView(await verifySnapshot(tools, given.argument, signal)),
    ),

  rm: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      views.removeView(await removeSnapshot(tools, given.argument, signal)),
    ),

  async import(given, around, signal) {
    const settings = copySettings(given, around);
    const request = importRequest(given, settings, process.stdin);
    await using composed = await composeArchiveTools(around, settings.store);
    const provenance = from('import');
    return views.importView(
      await importArchive(composed.tools, { ...request, provenance }, signal),
    );
  },

  async export(given, around, signal) {
    const request = exportRequest(given, process.stdout);
    await using composed = await composeArchiveTools(around, copySettings(given, around).store);
    return views.exportView(await exportVolume(composed.tools, request, signal));
  },
};

async function withSnapshots(
  given: Given,
  around: CliSurroundings,
  work: (tools: SnapshotTools) => Promise<views.View>,
): Promise<views.View> {
  await using composed = await composeSnapshotTools(around, copySettings(given, around).store);
  return await work(composed.tools);
}

function copySettings(given: Given, around: CliSurroundings): CopySettings {
  return parseCopySettings(inputsOf(given), around);
}

function inputsOf({ values }: Given): RawInputs {
  return Object.fromEntries(
    inputNames.flatMap((name) => {
      const value = values[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** The argument NAME, which `--name` may repeat but not contradict. */
function nameOf({ argument, values }: Given): RawInputs {
  if (argument === '') return {};
  const flag = values['name'];
  if (flag === undefined || flag === argument) return { name: argument };
  throw new AppError('invalid-settings', `two names are given: ${argument} and --name ${flag}`);
}

function from(command: string): Record<string, string> {
  return { command: `snapvol ${command}` };
}

function missing(flag: string, command: string): AppError {
  return new AppError('invalid-settings', `"snapvol ${command}" needs --${flag}`, {
    hint: `"snapvol ${command} --help" has an example`,
  });
}
