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

/** `error` as an AppError: itself, a cancellation for an abort, or `internal` around anything else. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isAbort(error)) return new AppError('cancelled', 'cancelled', { cause: error });
  return new AppError('internal', messageOf(error), { cause: error });
}

/**
 * The text of anything that was thrown. Not by `instanceof`: what Node's core throws is no `Error` of the realm that a
 * test runner or an embedder runs us in.
 */
export function messageOf(error: unknown): string {
  return Error.isError(error) ? error.message : String(error);
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
