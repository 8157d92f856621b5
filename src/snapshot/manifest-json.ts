import * as v from 'valibot';

import { AppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import {
  archiveFeatures,
  formatVersion,
  largestTablesLimit,
  manifestFileName,
  manifestLimitBytes,
  quiesceMethods,
  sumsFileName,
  tableNameLimit,
  type Manifest,
  type ManifestArchive,
} from './manifest.ts';

const ownFileNames: readonly string[] = [manifestFileName, sumsFileName];

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
  const json = jsonOf(text);
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

function jsonOf(text: string): unknown {
  if (text.length > manifestLimitBytes)
    throw new AppError('snapshot-corrupt', `${manifestFileName} is too large to be one`);
  return parseJson(
    text,
    (cause) => new AppError('snapshot-corrupt', `${manifestFileName} is not JSON`, { cause }),
  );
}
