import { join } from 'node:path';

import { secondsSince } from '../clock.ts';
import { formatBytes } from '../format.ts';
import type { Compression, CopyTarget, VolumeContents } from '../runtime/volume-copier.ts';
import { reasonsOf } from '../snapshot/contents.ts';
import type { ManifestArchive } from '../snapshot/manifest.ts';
import type { Tools } from './context.ts';

/** Copies one volume into the bundle that is being made in `dir`. */
export async function archiveVolume(
  { copier, log, clock }: Tools,
  name: string,
  target: CopyTarget,
  dir: string,
  compression: Compression,
  signal: AbortSignal,
): Promise<{ readonly archived: ManifestArchive; readonly contents: VolumeContents }> {
  const startMs = clock.monotonicMs();
  const archive = `${name}.tar${compression.kind === 'zstd' ? '.zst' : ''}`;
  const file = join(dir, archive);
  const { method, notes, features, contents, ...written } = await copier.save(
    target,
    file,
    compression,
    signal,
  );
  log.info(
    `volume ${name}: ${written.entries} entries, ${formatBytes(written.tarBytes)} -> ` +
      `${formatBytes(written.archiveBytes)} in ${secondsSince(clock, startMs)} s (${method})`,
  );
  for (const note of notes) log.info(`volume ${name}: ${note}`);
  const leftOut = target.leaveOut ?? [];
  if (leftOut.length > 0) log.info(`volume ${name}: left out: ${reasonsOf(leftOut)}`);
  const archived = {
    ...{ name, archive, compression: compression.kind, ...written },
    ...{ features: [...features], notes: [...notes], leftOut },
  };
  return { archived, contents };
}
