import type { Endpoint } from '../engines/engine.ts';
import { volumeNameLabel } from '../runtime/labels.ts';
import type { ContainerRuntime, ContainerState } from '../runtime/runtime.ts';
import { credentialsIn, parseSettings } from '../settings.ts';
import type { Tools } from './context.ts';
import { maskPassword } from './mask-password.ts';
import { dataParts, type PlannedVolume } from './plan.ts';
import { readRecord, type DatabaseRecord } from './record.ts';
import type { SnapshotSource } from './take.ts';

/** A snapshot's source, and how the database was made and is reached. */
export interface StartedSource extends SnapshotSource {
  readonly record: DatabaseRecord;
  readonly endpoint: Endpoint;
}

/** Everything about a database that an earlier run started, from its labels, mounts and environment. */
export async function readStarted(
  { runtime, log }: Pick<Tools, 'runtime' | 'log'>,
  container: ContainerState,
  { name, key }: Pick<SnapshotSource, 'name' | 'key'>,
  signal: AbortSignal,
): Promise<StartedSource> {
  const record = readRecord(container);
  const settings = parseSettings(record.inputs, { defaultStore: 'artifact' }); // the store is not used
  const { engine } = settings;
  const { user, database } = record.credentials;
  const image = {
    ...(await runtime.ensureImage(record.imageId, signal)),
    reference: settings.image,
  };
  const { password } = credentialsIn(engine, container.env, []);
  maskPassword(log, engine, { password });
  const { dataPath } = engine.location(image, container.env);
  const volumes = await labelledVolumes(runtime, container, signal);
  const extraVolumes = volumes.filter(({ name }) => name !== 'data');
  return {
    name,
    engine,
    image,
    dataPath,
    volumes,
    key,
    keyParts: dataParts(engine.id, image, record.credentials, dataPath, extraVolumes),
    target: { credentials: record.credentials },
    record,
    endpoint: {
      ...{ user, database, password },
      ...(record.container.network !== undefined || container.hostPort === undefined
        ? { host: record.networkAlias ?? container.name, port: engine.port(image) }
        : { host: (await runtime.info()).host, port: container.hostPort }),
    },
  };
}

/** The volumes that `start` made for it, its own data first. */
async function labelledVolumes(
  runtime: ContainerRuntime,
  container: ContainerState,
  signal: AbortSignal,
): Promise<PlannedVolume[]> {
  const volumes: PlannedVolume[] = [];
  for (const { type, source, target } of container.mounts) {
    const found = type === 'volume' ? await runtime.findVolume(source, signal) : undefined;
    const name = found?.labels[volumeNameLabel];
    if (found && name !== undefined) {
      volumes.push({ name, volume: found.name, mountPath: target, labels: found.labels });
    }
  }
  const rank = ({ name }: PlannedVolume): string => (name === 'data' ? '' : name);
  return volumes.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}
