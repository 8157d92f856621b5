import type { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { ProgressMeter } from './progress.ts';

export type Verbosity = 'quiet' | 'normal' | 'verbose';

/** What is needed of `process.stderr`. */
export interface TerminalStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalLog extends Log {
  error(error: AppError): void;
  /** The text with every secret replaced. */
  redact(text: string): string;
  /** Takes the progress line away. */
  close(): void;
}

const clearLine = '\r\u001b[K';

/** The log on a terminal, or in the log of another CI system: one line a message, groups indented. */
export function createTerminalLog(
  stream: TerminalStream,
  verbosity: Verbosity,
  nowMs: () => number = () => performance.now(),
): TerminalLog {
  const isTerminal = stream.isTTY === true;
  const meter = new ProgressMeter(isTerminal);
  const secrets = new Set<string>();
  let indent = '';
  let progressShown = false;

  function redact(text: string): string {
    // The longest first: one secret may be part of another.
    const ordered = [...secrets].sort((a, b) => b.length - a.length);
    return ordered.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
  }

  function close(): void {
    if (progressShown) stream.write(clearLine);
    progressShown = false;
  }

  function line(text: string): void {
    close();
    stream.write(`${redact(text).replaceAll(/^/gm, indent)}\n`);
  }

  const unlessQuiet = (text: string): void => {
    if (verbosity !== 'quiet') line(text);
  };

  return {
    debug(message) {
      if (verbosity === 'verbose') line(message);
    },
    info: unlessQuiet,
    warn(message) {
      line(`warning: ${message}`);
    },
    error({ message, hint, details, code, stack }) {
      line(`error: ${message}`);
      // A single problem is the message already.
      for (const detail of details) if (detail !== message) line(`  ${detail}`);
      if (hint !== undefined) line(hint);
      if (verbosity === 'verbose' || code === 'internal') line(stack ?? '');
    },
    async group(title, work) {
      unlessQuiet(title);
      const before = indent;
      indent += '  ';
      try {
        return await work();
      } finally {
        indent = before;
      }
    },
    progress(progress) {
      if (verbosity === 'quiet') return;
      const text = meter.next(progress, nowMs());
      if (text === undefined) return;
      if (!isTerminal) {
        line(text);
        return;
      }
      // A line that wraps could not be written over.
      stream.write(`${clearLine}${redact(indent + text).slice(0, (stream.columns ?? 80) - 1)}`);
      progressShown = true;
    },
    mask(secret) {
      if (secret !== '') secrets.add(secret);
    },
    redact,
    close,
  };
}
