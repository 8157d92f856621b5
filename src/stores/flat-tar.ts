/**
 * Runs `work`, which unpacks a tar archive with the `tar` program into the folder `name`, so that every entry lands in
 * that folder itself, whatever its path: GitHub's client permits absolute paths, and ".." in them. What is no plain file
 * then is for the caller to refuse. GNU tar only; others do not know the variable.
 */
export async function withFlatTar<T>(name: string, work: () => Promise<T>): Promise<T> {
  // eslint-disable-next-line no-restricted-properties -- the client gives its own environment to tar, and nothing else
  const { env } = process;
  const before = env['TAR_OPTIONS'];
  // Names and targets of hard links, not those of symlinks. The backslash is doubled for who splits the options.
  env['TAR_OPTIONS'] = `--transform=s,^(.*/)?([^/]+)/*$,${name}/\\\\2,xrhS`;
  try {
    return await work();
  } finally {
    if (before === undefined) Reflect.deleteProperty(env, 'TAR_OPTIONS');
    else env['TAR_OPTIONS'] = before;
  }
}
