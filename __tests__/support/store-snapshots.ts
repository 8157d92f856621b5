import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeBundle } from '../../src/snapshot/bundle.ts';
import type { DatabaseManifest } from '../../src/snapshot/manifest.ts';
import type { SnapshotStore } from '../../src/stores/store.ts';
import { makeManifest } from './manifests.ts';
import { seededBytes, type ScratchFolder } from './store-bundles.ts';

export interface WantedSnapshot {
  readonly key: string;
  readonly name: string;
  /** Of its one archive, `data.tar.zst`. */
  readonly archiveBytes?: number;
}

/** Saves a small snapshot that is whole: its archive holds what the manifest says. */
export async function storeSnapshot(
  store: SnapshotStore,
  scratch: ScratchFolder,
  { key, name, archiveBytes = 1000 }: WantedSnapshot,
): Promise<void> {
  const dir = await scratch.folder('bundle');
  const bytes = seededBytes(key, archiveBytes);
  await writeFile(join(dir, 'data.tar.zst'), bytes);
  const [volume] = makeManifest().volumes;
  const volumes: DatabaseManifest['volumes'] = volume
    ? [{ ...volume, archiveBytes, sha256: createHash('sha256').update(bytes).digest('hex') }]
    : [];
  await writeBundle(dir, makeManifest({ key, name, volumes }));
  const outcome = await store.save(key, dir, new AbortController().signal);
  if (outcome !== 'saved') throw new Error(`${key} is there already`);
}
