/** The longest of `folders` that is `path` or contains it. */
export function longestPrefix(folders: readonly string[], path: string): string | undefined {
  return folders
    .map((folder) => folder.replace(/\/+$/, ''))
    .filter((folder) => path === folder || path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0];
}
