/** What kind of thing went wrong. Closed: exit codes and policies are tables over this union. */
export type ErrorCode =
  | 'invalid-settings'
  | 'docker-unreachable'
  | 'image-unavailable'
  | 'name-taken'
  | 'port-taken'
  | 'container-unhealthy'
  | 'container-missing'
  | 'seed-failed'
  | 'check-failed'
  | 'hook-failed'
  | 'unclean-shutdown'
  | 'copy-failed'
  | 'snapshot-missing'
  | 'snapshot-corrupt'
  | 'snapshot-incompatible'
  | 'snapshot-refused'
  | 'snapshot-locked'
  | 'wrong-key'
  | 'store-unavailable'
  | 'volume-taken'
  | 'volume-missing'
  | 'cancelled'
  | 'engine-refused'
  | 'system-error'
  | 'internal';

export interface ErrorContext {
  /** The error that caused this one. */
  readonly cause?: unknown;
  /** What the user can do next, one sentence. */
  readonly hint?: string;
  /** Longer evidence, shown below the message: a log tail, every problem of a settings object. */
  readonly details?: readonly string[];
  /**
   * Another try may go better, though not sooner than in so many milliseconds. Absent where it would not, and where
   * enough was tried already.
   */
  readonly retryAfterMs?: number | undefined;
}

/** The one error class. `message` says what failed and which thing; `hint` what to do next. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: readonly string[];
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.hint = context.hint;
    this.details = context.details ?? [];
    this.retryAfterMs = context.retryAfterMs;
  }
}

/**
 * `error` as an AppError: itself, a cancellation for an abort, `system-error` for what the operating system refused, or
 * `internal`, which is a mistake of ours, around anything else. What failed first counts, not the clean-up after it.
 */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isAbort(error)) return new AppError('cancelled', 'cancelled', { cause: error });
  if (isSuppressed(error)) {
    const { code, message, hint, details, retryAfterMs } = toAppError(error.suppressed);
    const later = `and the clean-up after it failed: ${messageOf(error.error)}`;
    return new AppError(code, message, {
      ...{ cause: error, details: [...details, later], retryAfterMs },
      ...(hint !== undefined && { hint }),
    });
  }
  return (
    systemError(error) ??
    new AppError('internal', `a bug in snapvol: ${messageOf(error)}`, {
      cause: error,
      hint: 'Please report it, with what is printed here: https://github.com/snapvol/snapvol/issues',
    })
  );
}

/** Both the body and the disposal of an `await using` have failed. */
function isSuppressed(error: unknown): error is SuppressedError {
  return Error.isError(error) && error.name === 'SuppressedError' && 'suppressed' in error;
}

const noAccess = 'Let the user that runs this read and write it, or name another one';
const inTheWay = 'Something else is in the way: move it, or name another one';
const tooManyFiles = 'Raise the limit of open files ("ulimit -n"), or let fewer things run at once';
const noSpace =
  'Free some space there, or point the scratch folder (TMPDIR, RUNNER_TEMP) to a larger disk';

const systemHints: Readonly<Record<string, string>> = {
  EACCES: noAccess,
  EPERM: noAccess,
  EROFS: 'The file system is read-only: mount it writable, or name another folder',
  ENOSPC: noSpace,
  EDQUOT: noSpace,
  ENOENT: 'It is not there, or not any more: look at its name, and at what removes it',
  ENOTDIR: inTheWay,
  EISDIR: inTheWay,
  EEXIST: inTheWay,
  ENOTEMPTY: inTheWay,
  ENAMETOOLONG: 'Name a shorter one',
  EMFILE: tooManyFiles,
  ENFILE: tooManyFiles,
  ENOMEM: 'Give this machine more memory, or let fewer things run at once',
  EIO: 'Its disk fails, or what is mounted there: the log of the kernel tells more ("dmesg")',
};

/**
 * What the operating system refused, or Node for it (`ERR_FS_...`), by its code; `undefined` for any other error.
 * @param what the operation in words ("write /tmp/x"), where the system's own do not name the file
 */
export function systemError(error: unknown, what?: string): AppError | undefined {
  const code = systemCodeOf(error);
  if (code === undefined || !/^(E[A-Z0-9]+|ERR_FS_[A-Z_]+)$/.test(code)) return undefined;
  const said = messageOf(error);
  return new AppError(
    'system-error',
    what === undefined ? `the operating system refused it: ${said}` : `could not ${what}: ${said}`,
    {
      cause: error,
      hint: systemHints[code] ?? 'Look at what it names: this comes from the system below snapvol',
    },
  );
}

/**
 * The text of anything that was thrown. Not by `instanceof`: what Node's core throws is no `Error` of the realm that a
 * test runner or an embedder runs us in.
 */
export function messageOf(error: unknown): string {
  if (!Error.isError(error)) return String(error);
  // Without a message: several connections were tried, and each has its own.
  const several = 'errors' in error && Array.isArray(error.errors) ? error.errors : [];
  return error.message || several.map(messageOf).join('; ') || error.name;
}

/** Whether something ended because its AbortSignal said so. */
export function isAbort(error: unknown): boolean {
  return Error.isError(error) && error.name === 'AbortError';
}

/** The system's own code (`ENOENT`, `EACCES`), where `error` carries one. */
export function systemCodeOf(error: unknown): string | undefined {
  return Error.isError(error) && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** A message with its hint, on one line. */
export function explain(error: AppError): string {
  return error.hint === undefined ? error.message : `${error.message}. ${error.hint}`;
}
