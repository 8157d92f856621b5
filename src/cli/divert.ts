import { Writable } from 'node:stream';

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

/** The real stdout, also within {@link withoutStdout}: for a command whose result is a stream. */
export function resultStream(): Writable & { readonly isTTY: boolean } {
  const { stdout } = process;
  const stream = new Writable({
    write(chunk: Buffer, encoding, done) {
      // The method as it is inherited, whatever has been put before it.
      Writable.prototype.write.call(stdout, chunk, encoding, done);
    },
  });
  return Object.assign(stream, { isTTY: stdout.isTTY });
}
