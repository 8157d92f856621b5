import type { LeftOut, Manifest, Writer } from './manifest.ts';

/** Whose files a snapshot holds, whichever kind it is: the database, or the containers that write to its volumes. */
export function writersOf(manifest: Manifest): readonly Omit<Writer, 'container'>[] {
  if (manifest.kind === 'volumes') return manifest.writers;
  const { engine, image, consistency } = manifest;
  return [{ engine: engine.id, dataVersion: engine.dataVersion, image, consistency }];
}

/** Go's name of the architecture that a snapshot was made on; `null` where nobody knows. */
export function architectureOf(manifest: Manifest): string | null {
  return manifest.kind === 'volumes' ? manifest.architecture : manifest.image.architecture;
}

/** The engines in a snapshot, each once: `postgres, redis`. Empty where there are none. */
export function engineNames(manifest: Manifest): string {
  return list(writersOf(manifest).map(({ engine }) => engine));
}

export function imageNames(manifest: Manifest): string {
  return list(writersOf(manifest).map(({ image }) => image.reference));
}

/** Why something was left out: each reason once. */
export function reasonsOf(leftOut: readonly LeftOut[]): string {
  return list(leftOut.map(({ reason }) => reason));
}

function list(values: readonly string[]): string {
  return [...new Set(values)].join(', ');
}
