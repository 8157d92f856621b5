import { Writable } from 'node:stream';

/** Of the result alone, for one that is more than a text. */
export type ResultStream = Writable & { readonly isTTY: boolean };

/**
 * Runs `work` with what is written to stdout going to stderr. The clients of GitHub's services write lines for a runner
 * there, without asking, and stdout is for the result alone: `work` is given the way there.
 */
export async function withoutStdout<T>(work: (result: ResultStream) => Promise<T>): Promise<T> {
  const { stdout, stderr } = process;
  const result = resultStream(stdout.write.bind(stdout), stdout.isTTY);
  // As a rule there is none: the method is inherited.
  const own = Object.getOwnPropertyDescriptor(stdout, 'write');
  stdout.write = stderr.write.bind(stderr);
  try {
    return await work(result);
  } finally {
    if (own) Object.defineProperty(stdout, 'write', own);
    else Reflect.deleteProperty(stdout, 'write');
  }
}

function resultStream(write: NodeJS.WriteStream['write'], isTTY: boolean): ResultStream {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      write(chunk, done);
    },
  });
  return Object.assign(stream, { isTTY });
}
