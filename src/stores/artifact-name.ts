/** What GitHub permits in no artifact name, and the escape character itself. */
const ESCAPED = /["%*/:<>?\\|\r\n]/g;

/**
 * A key as an artifact's name: each character that is not permitted becomes `%` and two hexadecimal digits.
 *
 * One character after the other, so that the name of a prefix is a prefix of the name. And `%` it must be: the
 * client decodes the name as part of a URL when it downloads, and fails on any other use of `%`.
 */
export function encodeArtifactName(key: string): string {
  return key.replaceAll(ESCAPED, (character) => {
    const code = character.charCodeAt(0).toString(16).toUpperCase();
    return `%${code.padStart(2, '0')}`;
  });
}

/** The key of a name made by `encodeArtifactName`; `undefined` for any other name. */
export function decodeArtifactName(name: string): string | undefined {
  const key = name.replaceAll(/%([0-9A-F]{2})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return encodeArtifactName(key) === name ? key : undefined;
}

/** The keys of those artifacts that are snapshots, newest first. */
export function keysOfArtifacts(
  artifacts: readonly { readonly id: number; readonly name: string }[],
): readonly string[] {
  // Ids grow, so the greatest is the newest.
  return artifacts
    .toSorted((a, b) => b.id - a.id)
    .map(({ name }) => decodeArtifactName(name))
    .filter((key) => key !== undefined);
}
