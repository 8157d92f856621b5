import { randomUUID } from 'node:crypto';

import {
  composeArchiveTools,
  composeSnapshotTools,
  composeStoreTools,
  composeTools,
  type Composition,
} from '../compose.ts';
import { AppError } from '../errors.ts';
import {
  inputNames,
  parseCopySettings,
  parseSettings,
  type CopySettings,
  type RawInputs,
} from '../settings.ts';
import { versionedKey } from '../snapshot/key.ts';
import type { SnapshotTools, StoreTools } from '../usecases/context.ts';
import { clone } from '../usecases/clone.ts';
import { exportVolume } from '../usecases/export.ts';
import { importArchive } from '../usecases/import.ts';
import { recover, repair } from '../usecases/recover.ts';
import { reset } from '../usecases/reset.ts';
import { restore } from '../usecases/restore.ts';
import { saveVolumes } from '../usecases/save-volumes.ts';
import { save } from '../usecases/save.ts';
import { start } from '../usecases/start.ts';
import { stop } from '../usecases/stop.ts';
import { pruneSnapshots } from '../usecases/prune.ts';
import {
  findSnapshot,
  inspectSnapshot,
  listSnapshots,
  removeSnapshot,
} from '../usecases/stored.ts';
import { verifySnapshot, verifySnapshots } from '../usecases/verify.ts';
import {
  hasSources,
  parseRestoreSettings,
  parseSaveSettings,
  saveRequest,
} from '../volume-settings.ts';
import { exportRequest, importRequest } from './archive-flags.ts';
import type { Given } from './args.ts';
import type { CommandName } from './commands.ts';
import * as archiveViews from './output-archives.ts';
import { pruneView } from './output-prune.ts';
import * as snapshotViews from './output-snapshots.ts';
import * as views from './output.ts';
import type { CliSurroundings } from './surroundings.ts';
import { readCount, readPruneRequest, readVerifyRequest } from './upkeep-flags.ts';

type Run = (given: Given, around: CliSurroundings, signal: AbortSignal) => Promise<views.View>;

/** One use case a command: read the flags, compose the tools, show the report. */
export const runs: Readonly<Record<CommandName, Run>> = {
  async start(given, around, signal) {
    const settings = parseSettings({ ...inputsOf(given), ...nameOf(given) }, around);
    const owner = { run: randomUUID(), name: settings.name, scope: around.scope };
    const who = {
      ...{ owner, uniqueName: true, provenance: from('start') },
      ...{ cwd: around.cwd, untrusted: undefined },
    };
    await using composed = await composeRepaired(around, settings.copy, settings.store, signal);
    const report = await start(composed.tools, settings, who, signal);
    for (const line of views.startLines(report)) around.log.info(line);
    return views.startView(report);
  },

  async stop({ argument: name }, around, signal) {
    await using composed = await composeTools(around, 'auto');
    await repair(composed.tools, signal);
    return views.stopView(name, await stop(composed.tools, { scope: around.scope, name }));
  },

  async reset({ argument: name, values }, around, signal) {
    const { waitTimeoutMs } = parseCopySettings(values, around);
    await using composed = await composeTools(around, 'auto');
    await repair(composed.tools, signal);
    return views.resetView(
      await reset(composed.tools, { scope: around.scope, name, waitTimeoutMs }, signal),
    );
  },

  async clone({ argument: name, values }, around, signal) {
    const { waitTimeoutMs } = parseCopySettings(values, around);
    const count = readCount(values);
    const owner = { run: randomUUID(), name, scope: around.scope };
    await using composed = await composeTools(around, 'auto');
    await repair(composed.tools, signal);
    return views.cloneView(await clone(composed.tools, { owner, count, waitTimeoutMs }, signal));
  },

  async save(given, around, signal) {
    const settings = parseSaveSettings({ ...given.values, ...nameOf(given) }, around);
    const { store, copy } = settings.copy;
    const wanted = saveRequest(settings);
    if (wanted.login.password !== undefined) around.log.mask(wanted.login.password);
    await using composed = await composeRepaired(around, copy, store, signal);
    const { clock } = composed.tools;
    const key = settings.copy.key ?? versionedKey(wanted.name, clock.now());
    const request = { ...wanted, key, provenance: from('save') };
    return hasSources(settings)
      ? views.saveVolumesView(await saveVolumes(composed.tools, request, signal))
      : views.saveView(await save(composed.tools, { ...request, scope: around.scope }, signal));
  },

  async restore(given, around, signal) {
    const settings = parseRestoreSettings(given.values, around);
    const { store, copy } = settings.copy;
    await using composed = await composeRepaired(around, copy, store, signal);
    const { tools } = composed;
    const found = await findSnapshot(tools.store, given.argument, signal);
    return views.restoreView(
      await restore(tools, found, { ...settings, scope: around.scope }, signal),
    );
  },

  async recover({ values }, around, signal) {
    const { waitTimeoutMs } = parseCopySettings(values, around);
    const request = { force: values['force'] === 'true', waitTimeoutMs };
    await using composed = await composeTools(around, 'auto');
    const report = await recover(composed.tools, request, signal);
    return views.recoverView(report);
  },

  list: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      snapshotViews.listView(await listSnapshots(tools, given.argument || undefined, signal)),
    ),

  inspect: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      snapshotViews.inspectView(await inspectSnapshot(tools, given.argument, signal)),
    ),

  verify(given, around, signal) {
    const request = readVerifyRequest(given);
    return withSnapshots(given, around, async (tools) =>
      request.kind === 'one'
        ? snapshotViews.verifyView(await verifySnapshot(tools, request.key, signal))
        : snapshotViews.verifyAllView(await verifySnapshots(tools, request, signal)),
    );
  },

  rm: (given, around, signal) =>
    withSnapshots(given, around, async (tools) =>
      snapshotViews.removeView(await removeSnapshot(tools, given.argument, signal)),
    ),

  prune(given, around, signal) {
    const request = readPruneRequest(given);
    return withSnapshots(given, around, async (tools) =>
      pruneView(await pruneSnapshots(tools, request, signal)),
    );
  },

  async import(given, around, signal) {
    const settings = copySettings(given, around);
    const request = {
      ...importRequest(given, settings, process.stdin, around.home),
      provenance: from('import'),
    };
    await using composed = await composeArchiveTools(around, settings.store);
    return archiveViews.importView(await importArchive(composed.tools, request, signal));
  },

  async export(given, around, signal) {
    const request = exportRequest(given, around.resultStream, around.home);
    await using composed = await composeArchiveTools(around, copySettings(given, around).store);
    return archiveViews.exportView(await exportVolume(composed.tools, request, signal));
  },
};

/** Tools, after what killed processes have left is repaired. */
async function composeRepaired(
  around: CliSurroundings,
  copy: CopySettings['copy'],
  store: CopySettings['store'],
  signal: AbortSignal,
): Promise<Composition<StoreTools>> {
  const composed = await composeStoreTools(around, copy, store);
  try {
    await repair(composed.tools, signal);
    return composed;
  } catch (error) {
    await composed[Symbol.asyncDispose]();
    throw error;
  }
}

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
