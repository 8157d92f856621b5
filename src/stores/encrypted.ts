import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { orUndo, withAftermath } from '../aftermath.ts';
import { encryptedManifestName, encryptedSuffix, sumsFileName } from '../snapshot/manifest.ts';
import type { Decrypt, Encrypt } from './age.ts';
import {
  decryptBundle,
  encryptBundle,
  isKeyError,
  locked,
  requireSumIn,
} from './encrypted-bundle.ts';
import { translated } from './file-errors.ts';
import { isListable, isReplaceable, type SnapshotStore } from './store.ts';

/** What the user has given. */
export interface StoreKeys {
  /** `undefined`: new snapshots are saved as they are. */
  readonly encrypt: Encrypt | undefined;
  /** `undefined`: what is encrypted cannot be read. */
  readonly decrypt: Decrypt | undefined;
}

/**
 * A store of which others see no more than keys, sizes and times. It is the given one, with whatever that can do, and
 * bundles are encrypted on their way in and decrypted on their way out. A bundle that is not encrypted comes out as it
 * is.
 *
 * Reading what is encrypted fails with `snapshot-locked` without a key, with `wrong-key` with another one, and with
 * `snapshot-corrupt` when its bytes have changed.
 */
export function createEncryptedStore(
  inner: SnapshotStore,
  { encrypt, decrypt }: StoreKeys,
): SnapshotStore {
  /** Runs `work` with what is to be stored of `bundleDir`. */
  const stored = async <T>(
    bundleDir: string,
    signal: AbortSignal,
    work: (dir: string) => Promise<T>,
  ): Promise<T> => {
    if (encrypt === undefined) return work(bundleDir);
    const task = `encrypt ${bundleDir}`;
    // Beside the bundle: in the scratch folder, which is tidied after a kill, and on a disk that is made for this.
    const dir = await translated(task, signal, () => mkdtemp(`${bundleDir}-encrypted-`));
    return withAftermath(
      undefined,
      async () => {
        await translated(task, signal, () => encryptBundle(bundleDir, dir, encrypt, signal));
        return work(dir);
      },
      () => rm(dir, { recursive: true, force: true }),
    );
  };

  return {
    name: inner.name,
    find: (lookup, signal) => inner.find(lookup, signal),

    async load(found, bundleDir, signal) {
      if (!(await inner.load(found, bundleDir, signal))) return false;
      if (!(await readdir(bundleDir)).includes(encryptedManifestName)) return true;
      return translated(`decrypt ${found.key} in ${bundleDir}`, signal, async () => {
        await orUndo(
          () => decryptBundle(found.key, bundleDir, decrypt, signal),
          async () => {
            for (const name of await readdir(bundleDir)) await rm(join(bundleDir, name));
          },
        );
        return true;
      });
    },

    save: (key, bundleDir, signal) =>
      stored(bundleDir, signal, (dir) => inner.save(key, dir, signal)),

    ...(isReplaceable(inner) && {
      replace: (key: string, bundleDir: string, signal: AbortSignal) =>
        stored(bundleDir, signal, (dir) => inner.replace(key, dir, signal)),
    }),

    ...(isListable(inner) && {
      list: (signal: AbortSignal) => inner.list(signal),
      remove: (key: string, signal: AbortSignal) => inner.remove(key, signal),

      async readFile(key: string, fileName: string, signal: AbortSignal) {
        const asItIs = await inner.readFile(key, fileName, signal);
        if (asItIs !== undefined) return asItIs;
        const name = `${fileName}${encryptedSuffix}`;
        const bytes = await inner.readFile(key, name, signal);
        if (bytes === undefined) return undefined;
        try {
          if (decrypt === undefined) throw locked(key);
          return await buffer(decrypt(`${name} of ${key}`, [bytes]));
        } catch (error) {
          if (!isKeyError(error)) throw error;
          const sums = await inner.readFile(key, sumsFileName, signal);
          if (sums !== undefined) requireSumIn(sums.toString('utf8'), name, bytes);
          throw error;
        }
      },
    }),
  };
}
