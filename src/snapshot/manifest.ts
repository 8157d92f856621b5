/** The version of the bundle format that this code writes and reads. See docs/snapshot-format.md. */
export const formatVersion = 1;

export const manifestFileName = 'manifest.json';

/** Beside the manifest, so that `sha256sum --check SHA256SUMS` verifies a bundle by hand. */
export const sumsFileName = 'SHA256SUMS';

/** A manifest is small; a larger one is damage or an attack. */
export const manifestLimitBytes = 4 * 1024 * 1024;
/** Of the files of a bundle that is encrypted, each for itself. */
export const encryptedSuffix = '.age';
export const encryptedManifestName = `${manifestFileName}${encryptedSuffix}`;

/** Whether these are the files of a bundle, encrypted or not. */
export function haveManifest(fileNames: readonly string[]): boolean {
  return fileNames.includes(manifestFileName) || fileNames.includes(encryptedManifestName);
}

/** What a program must understand to read an archive right, beyond ustar with GNU long names. */
export const archiveFeatures = ['pax', 'sparse', 'xattrs'] as const;
export type ArchiveFeature = (typeof archiveFeatures)[number];

/**
 * How a database is brought to a state that can be copied: shut down, frozen (the copy is then what a power failure
 * would leave), or not at all, by the user's own means.
 */
export const quiesceMethods = ['stop', 'pause', 'none'] as const;
export type Quiesce = (typeof quiesceMethods)[number];

export interface KeyPart {
  readonly name: string;
  readonly value: string;
}

/** Files that were not copied, on purpose. */
export interface LeftOut {
  /**
   * Of paths below the volume's root: `*` stands for any characters of a name, `?` for one, `[A-F0-9]` for one of these.
   * What is below such a path is left out as well.
   */
  readonly pattern: string;
  /** What it is, in words. */
  readonly reason: string;
}

/** The archive of one volume, beside the manifest. */
export interface ManifestArchive {
  /** What the volume is called in this snapshot. */
  readonly name: string;
  /** File name in the bundle. */
  readonly archive: string;
  readonly compression: 'zstd' | 'none';
  readonly archiveBytes: number;
  readonly sha256: string;
  readonly tarBytes: number;
  readonly entries: number;
  readonly features: readonly ArchiveFeature[];
  readonly notes: readonly string[];
  /** What a clean stop of its database made worthless; empty where nothing was left out for that. */
  readonly leftOut: readonly LeftOut[];
}

/** `data` is the database's own, others have their names in `volumes-extra`. */
export interface DatabaseVolume extends ManifestArchive {
  readonly mountPath: string;
}

/** Where a volume that was there already came from, and so what it is restored to by default. */
export type VolumeOrigin =
  | {
      readonly type: 'volume';
      /** Its name in the container engine. */
      readonly volume: string;
      readonly driver: string;
      readonly options: Readonly<Record<string, string>>;
      readonly labels: Readonly<Record<string, string>>;
    }
  | {
      readonly type: 'bind';
      /** A folder of the host. */
      readonly folder: string;
    };

export interface KeptVolume extends ManifestArchive {
  readonly origin: VolumeOrigin;
  /** Where a container had it mounted, and the image of that one; `null` where none had. */
  readonly mountPath: string | null;
  readonly image: string | null;
}

/** In which state a database was when its files were copied. */
export interface Consistency {
  readonly method: Quiesce;
  /** `null` for a server that was not stopped. */
  readonly exitCode: number | null;
  /** What the engine itself says of how its data was left, in its words. */
  readonly mark: string;
}

export interface ManifestImage {
  readonly reference: string;
  readonly id: string;
  readonly digest: string | null;
  readonly os: string;
  readonly architecture: string;
}

/** A container that writes to volumes that were saved. */
export interface Writer {
  readonly container: string;
  /** `generic` for an image that is none of an engine known here. */
  readonly engine: string;
  readonly dataVersion: string | null;
  readonly image: ManifestImage;
  readonly consistency: Consistency;
}

export interface LargeTable {
  readonly name: string;
  /** With its indexes. */
  readonly bytes: number;
}

/** They are only to be shown. */
export const largestTablesLimit = 10;
export const tableNameLimit = 200;

interface ManifestHead {
  readonly format: typeof formatVersion;
  readonly key: string;
  /** What it is a snapshot of; several snapshots may have one name. */
  readonly name: string;
  readonly keyParts: readonly KeyPart[];
  readonly createdAt: string;
  readonly createdBy: string;
  readonly provenance: Readonly<Record<string, string>>;
}

/** Of a database that snapvol started: it can be started from it again. */
export interface DatabaseManifest extends ManifestHead {
  readonly kind: 'database';
  readonly engine: {
    readonly id: string;
    /** Version of the data on disk as the engine itself notes it, e.g. `17` of PG_VERSION. */
    readonly dataVersion: string | null;
    readonly dataPath: string;
    /** How many items (keys) the server said it held. `null` where its engine does not count. */
    readonly items: number | null;
    /** As its catalogue said before the copy, the largest first. Empty where the engine does not tell. */
    readonly largestTables: readonly LargeTable[];
  };
  readonly image: ManifestImage;
  readonly credentials: {
    readonly user: string;
    readonly database: string;
    readonly passwordHash: string;
  };
  readonly consistency: Consistency;
  readonly volumes: readonly DatabaseVolume[];
  /** Until the seed could begin: on an empty volume, or the restored base. */
  readonly initSeconds: number | null;
  readonly seedSeconds: number | null;
}

/** Of volumes that were there already, or of an imported archive. */
export interface VolumesManifest extends ManifestHead {
  readonly kind: 'volumes';
  /** Of the machine that it was made on: data folders differ. `null` where nobody knows. */
  readonly architecture: string | null;
  readonly writers: readonly Writer[];
  readonly volumes: readonly KeptVolume[];
}

/**
 * `manifest.json` of a snapshot. Field by field in docs/snapshot-format.md. Written out instead of inferred from the
 * schema: users of the library would need the schema's package for its types.
 */
export type Manifest = DatabaseManifest | VolumesManifest;
