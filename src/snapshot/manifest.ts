import * as v from 'valibot';

import { AppError } from '../errors.ts';

/** The version of the bundle format that this code writes and reads. See docs/snapshot-format.md. */
export const formatVersion = 1;

export const manifestFileName = 'manifest.json';

/** Beside the manifest, so that `sha256sum --check SHA256SUMS` verifies a bundle by hand. */
export const sumsFileName = 'SHA256SUMS';

const ownFileNames: readonly string[] = [manifestFileName, sumsFileName];

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

/** Far more than any snapshot has. What a manifest says is shown, and put on volumes as labels. */
const textLimit = 64 * 1024;
const itemsLimit = 10_000;
/** Of a message. */
const shownLimit = 200;

const text = v.pipe(v.string(), v.maxLength(textLimit));
const listOf = <T>(item: v.GenericSchema<unknown, T>) =>
  v.pipe(v.array(item), v.maxLength(itemsLimit));

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const seconds = v.pipe(v.number(), v.finite(), v.minValue(0));
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'not a sha256 in hexadecimal'));
/** One path segment of harmless characters: names of files in the bundle never lead out of it. */
const fileName = v.pipe(v.string(), v.maxLength(255), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/));
const absolutePath = v.pipe(text, v.startsWith('/'));

const keyPart = v.strictObject({ name: text, value: text });

const archive = {
  name: fileName,
  archive: fileName,
  compression: v.picklist(['zstd', 'none']),
  archiveBytes: count,
  sha256,
  tarBytes: count,
  entries: count,
  features: listOf(v.picklist(archiveFeatures)),
  notes: listOf(text),
  leftOut: listOf(v.strictObject({ pattern: text, reason: text })),
};

const texts = v.pipe(
  v.record(text, text),
  v.check((record) => Object.keys(record).length <= itemsLimit, `more than ${itemsLimit} of them`),
);

const origin = v.variant('type', [
  v.strictObject({
    type: v.literal('volume'),
    volume: fileName,
    driver: text,
    options: texts,
    labels: texts,
  }),
  v.strictObject({ type: v.literal('bind'), folder: absolutePath }),
]);

const consistency = v.strictObject({
  method: v.picklist(quiesceMethods),
  exitCode: v.nullable(v.pipe(v.number(), v.integer())),
  mark: text,
});

const image = v.strictObject({
  reference: text,
  id: text,
  digest: v.nullable(text),
  os: text,
  architecture: text,
});

const writer = v.strictObject({
  container: text,
  engine: text,
  dataVersion: v.nullable(text),
  image,
  consistency,
});

const head = {
  format: v.literal(formatVersion),
  key: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  keyParts: listOf(keyPart),
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
  createdBy: text,
  provenance: texts,
};

const manifest: v.GenericSchema<unknown, Manifest> = v.variant('kind', [
  v.strictObject({
    ...head,
    kind: v.literal('database'),
    engine: v.strictObject({
      id: text,
      dataVersion: v.nullable(text),
      dataPath: absolutePath,
      items: v.nullable(count),
      largestTables: v.pipe(
        v.array(
          v.strictObject({ name: v.pipe(v.string(), v.maxLength(tableNameLimit)), bytes: count }),
        ),
        v.maxLength(largestTablesLimit),
      ),
    }),
    image,
    credentials: v.strictObject({
      user: text,
      database: text,
      passwordHash: text,
    }),
    consistency,
    volumes: volumesOf(v.strictObject({ ...archive, mountPath: absolutePath })),
    initSeconds: v.nullable(seconds),
    seedSeconds: v.nullable(seconds),
  }),
  v.strictObject({
    ...head,
    kind: v.literal('volumes'),
    architecture: v.nullable(text),
    writers: listOf(writer),
    volumes: volumesOf(
      v.strictObject({
        ...archive,
        origin,
        mountPath: v.nullable(absolutePath),
        image: v.nullable(text),
      }),
    ),
  }),
]);

/** At least one, and each name and each file once. */
function volumesOf<T extends ManifestArchive>(volume: v.GenericSchema<unknown, T>) {
  const once = (values: readonly string[]): boolean => new Set(values).size === values.length;
  return v.pipe(
    listOf(volume),
    v.minLength(1),
    v.check((all) => once(all.map(({ name }) => name)), 'a name is there twice'),
    v.check((all) => once(all.map((each) => each.archive)), 'an archive is there twice'),
    v.check(
      (all) => !all.some((each) => ownFileNames.includes(each.archive)),
      'an archive has the name of another file',
    ),
  );
}

/** The bytes of `manifest.json`: same manifest, same bytes. */
export function encodeManifest(value: Manifest): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * Reads `manifest.json`. The format version is looked at first, so that a newer format is told apart from damage.
 * @throws `snapshot-incompatible` for another format version, `snapshot-corrupt` for anything that is not a manifest.
 */
export function decodeManifest(text: string): Manifest {
  const json = parseJson(text);
  const versioned = v.safeParse(v.object({ format: v.number() }), json);
  if (versioned.success && versioned.output.format !== formatVersion) {
    throw new AppError(
      'snapshot-incompatible',
      `format changed: the snapshot has format ${versioned.output.format}, this snapvol reads format ${formatVersion}`,
    );
  }
  const parsed = v.safeParse(manifest, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const place = printable(v.getDotPath(issue) ?? 'its top');
    throw new AppError(
      'snapshot-corrupt',
      `${manifestFileName} is not valid at ${place}: ${printable(issue.message)}`,
    );
  }
  return parsed.output;
}

/** What is quoted from a manifest is anybody's text. */
function printable(text: string): string {
  const shown = text.replace(/\p{Cc}/gu, '?');
  return shown.length > shownLimit ? `${shown.slice(0, shownLimit)}...` : shown;
}

function parseJson(text: string): unknown {
  if (text.length > manifestLimitBytes)
    throw new AppError('snapshot-corrupt', `${manifestFileName} is too large to be one`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('snapshot-corrupt', `${manifestFileName} is not JSON`, { cause: error });
  }
}
