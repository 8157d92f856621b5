import { AppError } from '../errors.ts';
import { longestPrefix } from '../paths.ts';
import { foreignLabels } from '../runtime/labels.ts';
import type { Labels, VolumeDriver } from '../runtime/runtime.ts';
import type { Storage } from '../runtime/volume-copier.ts';
import type { DatabaseManifest, KeptVolume, Manifest } from '../snapshot/manifest.ts';
import { projectLabel } from './sources.ts';

// Where the volumes of a snapshot go: decided from its manifest and the user's wishes, before anything is touched.

export interface RestoreWishes {
  /** For the only volume of a snapshot, or a database's own; its further ones get `VOLUME-<name>`. */
  readonly volume: string | undefined;
  /** A volume's name in the snapshot, or where it came from -> another volume, or an absolute path of a folder. */
  readonly rename: Readonly<Record<string, string>>;
  /** Folders of the host that only the manifest names may be filled. */
  readonly includeBinds: boolean;
}

export interface RestoreTarget {
  /** In the snapshot. */
  readonly name: string;
  readonly storage: Storage;
  readonly mountPath: string | null;
  readonly image: string | null;
  /** Of a volume that is made. */
  readonly labels: Labels;
  readonly driver: VolumeDriver | undefined;
}

/** @throws `invalid-settings` for wishes that do not fit the snapshot */
export function planTargets(manifest: Manifest, wishes: RestoreWishes): RestoreTarget[] {
  const names = originNames(manifest);
  const unknown = Object.keys(wishes.rename).find((from) => !names.flat().includes(from));
  if (unknown !== undefined) {
    throw new AppError('invalid-settings', `rename: the snapshot has no volume ${unknown}`, {
      hint: `It has: ${names.map(([name]) => name).join(', ')}`,
    });
  }
  const targets =
    manifest.kind === 'database'
      ? databaseTargets(manifest, wishes)
      : manifest.volumes.map((volume) => keptTarget(volume, wishes, manifest.volumes.length === 1));
  for (const { storage } of targets) {
    if (storage.type === 'volume') requireVolumeName(storage.source);
  }
  const sources = targets.map(({ storage }) => storage.source);
  const twice = sources.find((source, at) => sources.indexOf(source) !== at);
  if (twice !== undefined) {
    throw new AppError('invalid-settings', `two volumes of the snapshot would go to ${twice}`, {
      hint: 'Give one of them another name with "rename"',
    });
  }
  requireApart(sources.filter((source) => source.startsWith('/')));
  return targets;
}

/** What is in a folder is replaced as a whole: another one in it would go with the old content. */
function requireApart(folders: readonly string[]): void {
  for (const folder of folders) {
    const others = folders.filter((other) => other !== folder);
    const around = longestPrefix(others, folder);
    if (around === undefined) continue;
    throw new AppError('invalid-settings', `the folder ${folder} lies in ${around}`, {
      hint: 'Both would be filled: give one of them another place with "rename"',
    });
  }
}

/** Names come from outside, and may be those of what every object has. */
function wantedFor(name: string, rename: RestoreWishes['rename']): string | undefined {
  return Object.hasOwn(rename, name) ? rename[name] : undefined;
}

/** Of each volume its name in the snapshot, and the one it had where it came from. */
function originNames(manifest: Manifest): string[][] {
  if (manifest.kind === 'database') return manifest.volumes.map(({ name }) => [name]);
  return manifest.volumes.map(({ name, origin }) => [
    name,
    origin.type === 'volume' ? origin.volume : origin.folder,
  ]);
}

function databaseTargets(
  { volumes, image }: DatabaseManifest,
  { volume, rename }: RestoreWishes,
): RestoreTarget[] {
  return volumes.map(({ name, mountPath }) => {
    const wanted =
      wantedFor(name, rename) ??
      (volume === undefined || name === 'data' ? volume : `${volume}-${name}`);
    if (wanted === undefined) {
      throw new AppError(
        'invalid-settings',
        'the snapshot is one of a database: "volume" is missing',
        {
          hint: 'Name the new volume for its data with "volume"',
        },
      );
    }
    const storage = storageNamed(wanted);
    return { name, storage, mountPath, image: image.reference, labels: {}, driver: undefined };
  });
}

function keptTarget(
  { name, origin, mountPath, image }: KeptVolume,
  { volume, rename, includeBinds }: RestoreWishes,
  only: boolean,
): RestoreTarget {
  const from = origin.type === 'volume' ? origin.volume : origin.folder;
  const wanted = wantedFor(name, rename) ?? wantedFor(from, rename) ?? (only ? volume : undefined);
  if (wanted === undefined && volume !== undefined) {
    throw new AppError(
      'invalid-settings',
      'the snapshot holds several volumes: "volume" names one',
      {
        hint: `Use "rename", e.g. ${from}=${volume}`,
      },
    );
  }
  const common = { name, mountPath, image };
  const place = placeOnHost(origin);
  // A manifest comes from a store that others may write to: it alone must not choose folders of this host.
  if (wanted === undefined && place !== undefined && !includeBinds) {
    throw new AppError('invalid-settings', `${name} would be restored to ${place} of the host`, {
      hint: `Allow it with "include-binds", or give it another place with "rename", e.g. ${name}=NAME`,
    });
  }
  if (origin.type === 'bind') {
    return { ...common, storage: storageNamed(wanted ?? from), labels: {}, driver: undefined };
  }
  const { driver, options, labels } = origin;
  return {
    ...common,
    storage: storageNamed(wanted ?? from),
    labels: relabelled(foreignLabels(labels), from, wanted ?? from),
    // Options may name a place, which two volumes must not share.
    driver: wanted === undefined || wanted === from ? { driver, options } : undefined,
  };
}

/** What a folder, or a volume with options, stands for. Local ones are what mount(8) makes of their options. */
function placeOnHost(origin: KeptVolume['origin']): string | undefined {
  if (origin.type === 'bind') return origin.folder;
  const { type = '', device, o = '' } = origin.options;
  if (device === undefined) return undefined;
  const elsewhere = type === 'tmpfs' || (type.startsWith('nfs') && device.startsWith(':'));
  // With this flag the type does not matter, and a device may be a relative path.
  const isBind = /(^|,)r?bind(,|$)/.test(o);
  return elsewhere && !isBind && !device.startsWith('/') ? undefined : device;
}

function storageNamed(name: string): Storage {
  return { type: name.startsWith('/') ? 'bind' : 'volume', source: name };
}

const volumeLabel = 'com.docker.compose.volume';

/**
 * Compose takes a volume for its own by these labels. Under another name they would be wrong, unless it is the one that
 * the volume has in another project: `PROJECT_VOLUME`.
 */
function relabelled(labels: Labels, from: string, to: string): Labels {
  const volume = labels[volumeLabel];
  if (from === to || volume === undefined) return labels;
  const others = Object.fromEntries(
    Object.entries(labels).filter(([name]) => !name.startsWith('com.docker.compose.')),
  );
  return to.endsWith(`_${volume}`)
    ? { ...others, [volumeLabel]: volume, [projectLabel]: to.slice(0, -1 - volume.length) }
    : others;
}

function requireVolumeName(name: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,200}$/.test(name)) return;
  throw new AppError('invalid-settings', `"${name}" cannot be the name of a volume`, {
    hint: 'Use two or more of letters, digits, ".", "_", "-", and begin with a letter or digit',
  });
}
