import { AppError } from '../errors.ts';
import { differingParts, type KeyParts } from '../snapshot/key.ts';
import { decodeManifest } from '../snapshot/manifest-json.ts';
import { manifestFileName, type Manifest } from '../snapshot/manifest.ts';
import { isListable, type ListableStore, type SnapshotStore } from '../stores/store.ts';

/** How many snapshots are compared, newest first. */
const comparedSnapshots = 50;

/** Why there is no snapshot for these parts, against the one that has the most of them, where the store can list. */
export async function explainMiss(
  store: SnapshotStore,
  parts: KeyParts,
  givenKey: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const none = 'no snapshot for this key';
  // The parts have no say in a key that was given.
  if (!isListable(store) || givenKey !== undefined) return none;
  const nearest = await findNearest(store, parts, signal);
  if (!nearest) return none;
  const differences =
    nearest.differences.join('; ') || 'all parts are the same, only the key is another';
  return `${none}; nearest is ${nearest.key}: ${differences}`;
}

async function findNearest(
  store: ListableStore,
  parts: KeyParts,
  signal: AbortSignal,
): Promise<{ key: string; differences: string[] } | undefined> {
  const entries = await store.list(signal);
  let nearest: { key: string; differences: string[] } | undefined;
  for (const { key } of entries.slice(0, comparedSnapshots)) {
    const manifest = await readManifest(store, key, signal);
    if (!manifest) continue;
    const differences = differingParts(manifest.keyParts, parts);
    if (!nearest || differences.length < nearest.differences.length) nearest = { key, differences };
  }
  return nearest;
}

const unreadable: ReadonlySet<AppError['code']> = new Set([
  'snapshot-corrupt',
  'snapshot-incompatible',
  'snapshot-locked',
  'wrong-key',
]);

/** `undefined` for a snapshot that is gone or whose manifest cannot be read: it explains nothing. */
export async function readManifest(
  store: ListableStore,
  key: string,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  try {
    const bytes = await store.readFile(key, manifestFileName, signal);
    return bytes && decodeManifest(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof AppError && unreadable.has(error.code)) return undefined;
    throw error;
  }
}
