import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { asRoot } from './as-root.ts';

/**
 * A disk of this size, mounted on a new folder until it is disposed of. Needs root, or sudo without a password.
 * @param access may nobody write to it?
 */
export function mountSmallDisk(
  size: string,
  access: 'rw' | 'ro' = 'rw',
): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'snapvol-disk-'));
  asRoot('mount', '-t', 'tmpfs', '-o', `size=${size},mode=0777,${access}`, 'tmpfs', path);
  return {
    path,
    [Symbol.dispose]() {
      asRoot('umount', '--recursive', path);
      rmdirSync(path);
    },
  };
}
