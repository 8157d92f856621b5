import { AppError, messageOf } from '../errors.ts';
import { describeTrouble, retryAfterMs, type Outcome } from './client-call.ts';

export type Failure = Extract<Outcome<unknown>, { ok: false }>;

/** `known` is better than what the requests tell. */
export function unavailable(what: string, { error, exchanges }: Failure, known?: string): AppError {
  const reason = known ?? describeTrouble(exchanges) ?? messageOf(error);
  return new AppError('store-unavailable', `GitHub's artifact service: ${what}: ${reason}`, {
    cause: error,
    ...(known === undefined && { retryAfterMs: retryAfterMs(exchanges) }),
  });
}
