import type { Bundle } from './bundle.ts';
import { matchesPattern } from './pattern.ts';

/** What a manifest may say of where its snapshot comes from. */
export const provenanceNames = [
  'repository',
  'ref',
  'sha',
  'run',
  'attempt',
  'job',
  'event',
  'command',
] as const;
type ProvenanceName = (typeof provenanceNames)[number];

/** One of `patterns` must stand for what the manifest says under `name`. */
export interface ProvenanceRule {
  readonly name: ProvenanceName;
  readonly patterns: readonly string[];
}

/** Which snapshots are wanted, of all that somebody may have put into a store. */
export interface Acceptance {
  /** The one with this digest; any where `undefined`. */
  readonly digest: string | undefined;
  /** All of them must hold. A manifest is not signed: this keeps out what is honest, not what is forged. */
  readonly provenance: readonly ProvenanceRule[];
}

/** Why the snapshot is not wanted, or `undefined`. */
export function refusal(
  { digest, manifest }: Pick<Bundle, 'digest' | 'manifest'>,
  { digest: wanted, provenance }: Acceptance,
): string | undefined {
  if (wanted !== undefined && digest !== wanted) {
    return `its digest is ${digest}, and "expect-digest" is ${wanted}`;
  }
  for (const { name, patterns } of provenance) {
    const said = new Map(Object.entries(manifest.provenance)).get(name);
    if (said === undefined)
      return `it does not say its ${name}, which "require-provenance" asks for`;
    if (!patterns.some((pattern) => matchesPattern(pattern, said))) {
      return `its ${name} is ${said}, and "require-provenance" asks for ${patterns.join(' or ')}`;
    }
  }
  return undefined;
}
