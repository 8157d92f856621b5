/**
 * The arguments of every call of `snapvol` in a shell script, without the program's name. Quotes keep words together, a
 * backslash joins lines; variables stay as they are written. Not a shell: only what our examples use.
 */
export function snapvolCalls(script: string): string[][] {
  const joined = script
    .replaceAll(/^\s*#.*$/gm, '')
    .replaceAll('\\\n', ' ')
    .replaceAll(/^snapvol\(\) .*$/gm, '');
  return [
    ...joined.matchAll(/(?<=^|[\s(])snapvol (?<words>(?:'[^']*'|"[^"]*"|[^\n'";|&>)#])*)/g),
  ].map(({ groups }) => wordsOf(groups?.['words'] ?? ''));
}

/** `--seed 'a b' x` -> `--seed`, `a b`, `x` */
function wordsOf(text: string): string[] {
  const words = text.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
  return words.map((word) => word.replaceAll(/['"]/g, ''));
}
