import { STATUS_CODES } from 'node:http';

import { AppError, messageOf, systemCodeOf } from '../errors.ts';
import { headerMs, isPassingStatus } from './client-call.ts';

/** What GitHub's API answered instead of what was asked for, in the error of its client. */
interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** The answer in `error`; `undefined` where there was none, or none that could be read. */
function refusalOf(error: unknown): Refusal | undefined {
  if (!Error.isError(error)) return undefined;
  // The client gives a status of 500 to requests that got no answer: only the response itself proves one.
  if (!('status' in error && 'response' in error)) return undefined;
  const { status, response } = error;
  if (typeof status !== 'number' || typeof response !== 'object' || response === null) {
    return undefined;
  }
  const headers = 'headers' in response ? response.headers : undefined;
  // A cast: the client's own record of the response's headers.
  return { status, headers: (headers ?? {}) as Refusal['headers'] };
}

/** True for an error of the API's client, whether there was an answer or not. */
export function isApiError(error: unknown): boolean {
  return Error.isError(error) && 'status' in error && 'request' in error;
}

/**
 * An `error` of the API's client as `store-unavailable`. `absent` says what a 404 means: GitHub answers it both for
 * what does not exist and for what the token may not see.
 */
export function apiError(what: string, absent: string, error: unknown): AppError {
  const { reason, hint } = explain(error, absent);
  const refusal = refusalOf(error);
  return new AppError('store-unavailable', `GitHub's API: ${what}: ${reason}`, {
    cause: error,
    ...(hint !== undefined && { hint }),
    retryAfterMs: refusal === undefined ? 0 : patienceOf(refusal),
  });
}

/** True for the `apiError` of a 404. */
export function isAbsent(error: unknown): boolean {
  return error instanceof AppError && refusalOf(error.cause)?.status === 404;
}

interface Explanation {
  readonly reason: string;
  readonly hint?: string;
}

const GRANT = 'Give the job "permissions: actions: read" beside "contents: read"';

function explain(error: unknown, absent: string): Explanation {
  const refusal = refusalOf(error);
  if (refusal === undefined) return { reason: systemCode(error) ?? messageOf(error) };
  const { status } = refusal;
  const answer = `${status} ${STATUS_CODES[status] ?? ''}`.trim();
  const limit = rateLimit(refusal);
  if (limit !== undefined) return { reason: `${answer}: the rate limit is reached`, hint: limit };
  switch (status) {
    case 401:
      return {
        reason: `${answer}: the token is not valid`,
        hint: 'Leave "token" to its default, or give one that has not expired',
      };
    case 403:
      return { reason: `${answer}: the token may not read the runs`, hint: GRANT };
    case 404:
      return { reason: `${answer}: ${absent}, or the token may not see it`, hint: GRANT };
    default:
      return { reason: `it was answered ${answer}` };
  }
}

/** A refusal is not asked again: neither comes a permission by waiting, nor is a used-up rate limit soon over. */
function patienceOf(refusal: Refusal): number | undefined {
  const waitMs = headerMs(refusal.headers['retry-after']);
  if (rateLimit(refusal) !== undefined) return waitMs;
  return isPassingStatus(refusal.status) ? (waitMs ?? 0) : undefined;
}

/** When to come back, where the rate limit is what stands in the way. */
function rateLimit({ status, headers }: Refusal): string | undefined {
  const seconds = Number(headers['retry-after'] ?? NaN);
  const used = String(headers['x-ratelimit-remaining']) === '0';
  if (status !== 429 && !(status === 403 && (used || !Number.isNaN(seconds)))) return undefined;
  if (!Number.isNaN(seconds)) return `Try again in ${seconds} s`;
  const resetMs = Number(headers['x-ratelimit-reset'] ?? NaN) * 1000;
  // Beyond that, it is no date.
  if (!(Math.abs(resetMs) <= 8.64e15)) return 'Try again later';
  return `Try again after ${new Date(resetMs).toISOString()}`;
}

/** The system's code for a request that got no answer; the client wraps it more than once. */
function systemCode(error: unknown): string | undefined {
  for (let at: unknown = error; Error.isError(at); at = at.cause) {
    const code = systemCodeOf(at);
    if (code !== undefined) return code;
  }
  return undefined;
}
