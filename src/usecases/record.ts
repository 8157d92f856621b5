import { AppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import { recordLabel } from '../runtime/labels.ts';
import type { ContainerSpec, ContainerState } from '../runtime/runtime.ts';
import type { RawInputs, Settings } from '../settings.ts';
import type { DatabaseManifest } from '../snapshot/manifest.ts';
import type { Plan } from './plan.ts';

/**
 * What a later run cannot see from a container: how its engine was made, and what a manifest says of its credentials.
 * Holds no password: that one is in the container's environment, if anywhere.
 */
export interface DatabaseRecord {
  /** As the user gave them, with the names of the engine and of the image. */
  readonly inputs: RawInputs;
  /** Of the image that the container runs: by now its tag may name another one. */
  readonly imageId: string;
  readonly credentials: DatabaseManifest['credentials'];
  /** On a port of the host. */
  readonly isPublished: boolean;
  /** What a clone is given, too: files at these paths, and */
  readonly files: readonly string[];
  readonly container: ContainerSettings;
  /** In its network it is reached by this name, else by the container's. */
  readonly networkAlias: string | undefined;
}

/** As the user wants the container. In a network of its own it is reached by its name. */
export type ContainerSettings = Pick<ContainerSpec, 'network' | 'options'>;

export function encodeRecord(
  { engine, image, target, files }: Pick<Plan, 'engine' | 'image' | 'target' | 'files'>,
  { engineInputs, networkAlias }: Pick<Settings, 'engineInputs' | 'networkAlias'>,
  container: ContainerSettings,
  isPublished: boolean,
): string {
  const record: DatabaseRecord = {
    inputs: { ...engineInputs, engine: engine.id, image: image.reference },
    imageId: image.id,
    credentials: target.credentials,
    files: files.map(({ path }) => path),
    ...{ isPublished, container, networkAlias },
  };
  return JSON.stringify(record);
}

/** Of a clone: a name in a network belongs to one. */
export function cloneRecord(record: DatabaseRecord): string {
  return JSON.stringify({ ...record, networkAlias: undefined } satisfies DatabaseRecord);
}

/** @throws `container-missing` for a container that no `start` of this version made */
export function readRecord({ name, labels }: ContainerState): DatabaseRecord {
  const refusal = (cause?: unknown): AppError =>
    new AppError('container-missing', `the container ${name} carries no ${recordLabel}`, {
      cause,
      hint: 'It was started by another version of snapvol: stop it, and start it again',
    });
  const text = labels[recordLabel];
  if (text === undefined) throw refusal();
  return parseJson(text, refusal) as DatabaseRecord; // written by encodeRecord; labels of a container never change
}
