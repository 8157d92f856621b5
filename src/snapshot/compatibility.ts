import type { DatabaseManifest } from './manifest.ts';

/** What is going to run on the data. */
export interface Target {
  readonly engine: string;
  readonly os: string;
  readonly architecture: string;
  /** As the user names it. */
  readonly image: string;
  /** Of the server in the image, where it says. */
  readonly imageVersion: string | undefined;
  /** The engine's word on data of one version for a server of another. */
  readonly versionProblem: (data: string, image: string) => string | undefined;
  readonly dataPath: string;
  /** Logical volume name -> mount path. */
  readonly volumes: Readonly<Record<string, string>>;
  readonly credentials: DatabaseManifest['credentials'];
}

/**
 * Why the data of `manifest` cannot serve `target`, or `undefined` when it can. Decided from the manifest alone, before
 * anything is extracted: a misfit is a miss with a reason, not a database that does not start.
 */
export function misfit(manifest: DatabaseManifest, target: Target): string | undefined {
  const { engine, image, credentials } = manifest;
  return (
    firstDifference([
      ['engine', engine.id, target.engine],
      ['operating system', image.os, target.os],
      ['architecture', image.architecture, target.architecture],
    ]) ??
    versionMisfit(manifest, target) ??
    firstDifference([
      ['data path', engine.dataPath, target.dataPath],
      ['volumes', describe(volumesOf(manifest)), describe(target.volumes)],
      // These live in the data folder: with others the restored database would not let anybody in.
      ['user', credentials.user, target.credentials.user],
      ['database', credentials.database, target.credentials.database],
    ]) ??
    (credentials.passwordHash === target.credentials.passwordHash ? undefined : 'password changed')
  );
}

function firstDifference(rows: readonly (readonly [string, string, string])[]): string | undefined {
  const different = rows.find(([, was, is]) => was !== is);
  if (!different) return undefined;
  const [what, was, is] = different;
  return `${what} changed: ${was || 'none'} -> ${is || 'none'}`;
}

function versionMisfit({ engine, image }: DatabaseManifest, target: Target): string | undefined {
  if (engine.dataVersion === null) {
    // Nothing tells whether another server understands the data: only the same one is sure to.
    return image.reference === target.image
      ? undefined
      : `image changed: ${image.reference} -> ${target.image}, and the data does not say its version`;
  }
  if (target.imageVersion === undefined) return undefined;
  return target.versionProblem(engine.dataVersion, target.imageVersion);
}

/** The upgrade that a server will make of data that fits it, in words; `undefined` where there is none to be made. */
export function upgradeOf(
  { engine }: DatabaseManifest,
  { imageVersion }: Pick<Target, 'imageVersion'>,
): string | undefined {
  const { dataVersion } = engine;
  if (dataVersion === null || imageVersion === undefined) return undefined;
  // What differs behind the second number is a bug fix, not an upgrade of the data.
  const series = (version: string): string => /^\d+(\.\d+)?/.exec(version)?.[0] ?? version;
  if (series(dataVersion) === series(imageVersion)) return undefined;
  return `data version ${dataVersion}, server version ${imageVersion}`;
}

function volumesOf(manifest: DatabaseManifest): Record<string, string> {
  return Object.fromEntries(manifest.volumes.map((volume) => [volume.name, volume.mountPath]));
}

function describe(volumes: Readonly<Record<string, string>>): string {
  return Object.entries(volumes)
    .map(([name, path]) => `${name}:${path}`)
    .sort()
    .join(' ');
}
