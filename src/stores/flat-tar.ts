/**
 * Runs `work`, which unpacks a tar archive with the `tar` program into the folder `name`, so that every entry lands in
 * that folder itself, whatever its path: GitHub's client permits absolute paths, and ".." in them. What is no plain file
 * then is for the caller to refuse. GNU tar only; others do not know the variable.
 */
export function withFlatTar<T>(name: string, work: () => Promise<T>): Promise<T> {
  const variables = {
    // Names and targets of hard links, not those of symlinks. The backslash is doubled for who splits the options. A name
    // of which nothing is left (`/`, `..`) stands for a folder that is there, whose mode is none of the archive's.
    TAR_OPTIONS: `--no-overwrite-dir --transform=s,^(.*/)?([^/]+)/*$,${name}/\\\\2,xrhS`,
    // In another locale the expression passes over names with bytes that are no text there.
    LC_ALL: 'C',
  };
  return withVariables(variables, work);
}

/** Runs `work` while this process has other variables: the client and what it starts read them, and no argument. */
export async function withVariables<T>(
  ours: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> {
  // eslint-disable-next-line no-restricted-properties -- the client gives its own environment to tar, and nothing else
  const { env } = process;
  const before = Object.keys(ours).map((variable) => [variable, env[variable]] as const);
  Object.assign(env, ours);
  try {
    return await work();
  } finally {
    for (const [variable, value] of before) {
      if (value === undefined) Reflect.deleteProperty(env, variable);
      else env[variable] = value;
    }
  }
}
