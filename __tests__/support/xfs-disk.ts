import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { asRoot } from './as-root.ts';

/** As `mountSmallDisk`, with XFS on it, whose files can share blocks: at least 300 MB. */
export function mountXfsDisk(size: string): Disposable & { readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'snapvol-xfs-'));
  const [image, path] = [join(folder, 'image'), join(folder, 'disk')];
  asRoot('truncate', '--size', size, image);
  asRoot('mkfs.xfs', '-q', image);
  asRoot('mkdir', path);
  asRoot('mount', '-o', 'loop', image, path);
  asRoot('chmod', '0777', path);
  return {
    path,
    [Symbol.dispose]() {
      asRoot('umount', '--recursive', path);
      asRoot('rm', '-r', path, image);
      rmSync(folder, { recursive: true });
    },
  };
}
