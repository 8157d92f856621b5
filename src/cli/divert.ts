/**
 * Runs `work` with what is written to stdout going to stderr. The clients of GitHub's services write lines for a runner
 * there, without asking, and stdout is for the result alone.
 */
export async function withoutStdout<T>(work: () => Promise<T>): Promise<T> {
  const { stdout, stderr } = process;
  // As a rule there is none: the method is inherited.
  const own = Object.getOwnPropertyDescriptor(stdout, 'write');
  stdout.write = stderr.write.bind(stderr);
  try {
    return await work();
  } finally {
    if (own) Object.defineProperty(stdout, 'write', own);
    else Reflect.deleteProperty(stdout, 'write');
  }
}
