import { AppError } from '../errors.ts';
import { recordLabel } from '../runtime/labels.ts';
import type { ContainerState } from '../runtime/runtime.ts';
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
  /** In a network of its own it is reached by the container's name. */
  readonly network: string | undefined;
  /** On a port of the host. */
  readonly isPublished: boolean;
  readonly memoryBytes: number | undefined;
  readonly shmBytes: number | undefined;
}

export function encodeRecord(
  { engine, image, target }: Pick<Plan, 'engine' | 'image' | 'target'>,
  {
    engineInputs,
    network,
    memoryBytes,
    shmBytes,
  }: Pick<Settings, 'engineInputs' | 'network' | 'memoryBytes' | 'shmBytes'>,
  isPublished: boolean,
): string {
  const record: DatabaseRecord = {
    inputs: { ...engineInputs, engine: engine.id, image: image.reference },
    imageId: image.id,
    credentials: target.credentials,
    ...{ network, isPublished, memoryBytes, shmBytes },
  };
  return JSON.stringify(record);
}

/** @throws `container-missing` for a container that no `start` of this version made */
export function readRecord({ name, labels }: ContainerState): DatabaseRecord {
  const text = labels[recordLabel];
  if (text === undefined) {
    throw new AppError('container-missing', `the container ${name} carries no ${recordLabel}`, {
      hint: 'It was started by another version of snapvol: stop it, and start it again',
    });
  }
  return JSON.parse(text) as DatabaseRecord; // written by encodeRecord; labels of a container never change
}
