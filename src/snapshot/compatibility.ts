import type { Manifest } from './manifest.ts';

/** What is going to run on the data. */
export interface Target {
  readonly engine: string;
  readonly os: string;
  readonly architecture: string;
  /** Version of data the image runs, where it says. */
  readonly imageVersion: string | undefined;
  readonly dataPath: string;
  /** Logical volume name -> mount path. */
  readonly volumes: Readonly<Record<string, string>>;
  readonly credentials: Manifest['credentials'];
}

/**
 * Why the data of `manifest` cannot serve `target`, or `undefined` when it can. Decided from the manifest alone, before
 * anything is extracted: a misfit is a miss with a reason, not a database that does not start.
 */
export function misfit(manifest: Manifest, target: Target): string | undefined {
  const { engine, image, credentials } = manifest;
  const differences: [string, string, string][] = [
    ['engine', engine.id, target.engine],
    ['operating system', image.os, target.os],
    ['architecture', image.architecture, target.architecture],
    ['data version', engine.dataVersion ?? '', target.imageVersion ?? engine.dataVersion ?? ''],
    ['data path', engine.dataPath, target.dataPath],
    ['volumes', describe(volumesOf(manifest)), describe(target.volumes)],
    // These live in the data folder: with others the restored database would not let anybody in.
    ['user', credentials.user, target.credentials.user],
    ['database', credentials.database, target.credentials.database],
  ];
  const different = differences.find(([, was, is]) => was !== is);
  if (different) {
    const [what, was, is] = different;
    return `${what} changed: ${was || 'none'} -> ${is || 'none'}`;
  }
  return credentials.passwordHash === target.credentials.passwordHash
    ? undefined
    : 'password changed';
}

function volumesOf(manifest: Manifest): Record<string, string> {
  return Object.fromEntries(manifest.volumes.map((volume) => [volume.name, volume.mountPath]));
}

function describe(volumes: Readonly<Record<string, string>>): string {
  return Object.entries(volumes)
    .map(([name, path]) => `${name}:${path}`)
    .sort()
    .join(' ');
}
