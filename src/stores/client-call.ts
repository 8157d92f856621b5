import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { STATUS_CODES } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';

import { AppError } from '../errors.ts';

/** One HTTP request that a client library made, as far as it can be seen from outside. */
export interface Exchange {
  /** The service's method (`CreateCacheEntry`), or `upload` and `download` for blobs. */
  readonly call: string;
  /** Missing while there was no answer. */
  status?: number;
  /** Why there was no answer, or not the whole of it. */
  failure?: string;
  /** How long the service wants to be left alone. */
  retryAfterMs?: number;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T; readonly exchanges: readonly Exchange[] }
  | { readonly ok: false; readonly error: unknown; readonly exchanges: readonly Exchange[] };

export interface ClientCall<T> {
  /** How the call ended. Rejects with `cancelled` as soon as the signal aborts. */
  readonly outcome: Promise<Outcome<T>>;
  /** When the library has really stopped: it cannot be cancelled. Never rejects. */
  readonly ended: Promise<unknown>;
}

/**
 * Calls a client library of GitHub and notes the requests that it makes.
 *
 * Those libraries turn a miss, an outage and a refusal into the same `undefined`, or into an error whose status is
 * only in its text. Node's own HTTP diagnostics tell the status without touching the library.
 */
export function callClient<T>(work: () => Promise<T>, signal: AbortSignal): ClientCall<T> {
  if (signal.aborted) {
    return { outcome: Promise.reject(cancelled(signal)), ended: Promise.resolve() };
  }
  const ended = observe(work);
  return { outcome: orCancelled(ended, signal), ended };
}

/** The same as `promise`, but rejects with `cancelled` as soon as the signal aborts. */
export async function orCancelled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  throwIfCancelled(signal);
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(cancelled(signal));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw cancelled(signal);
}

function cancelled(signal: AbortSignal): AppError {
  return new AppError('cancelled', 'cancelled', { cause: signal.reason });
}

/** The status of the last answer to `call`. */
export function lastStatus(exchanges: readonly Exchange[], call: string): number | undefined {
  return exchanges.findLast((exchange) => exchange.call === call)?.status;
}

/** What went wrong in the last request, or `undefined` where it went well: then the reason is not to be seen. */
export function describeTrouble(exchanges: readonly Exchange[]): string | undefined {
  const last = exchanges.at(-1);
  const trouble = last === undefined ? undefined : troubleOf(last);
  if (last === undefined || trouble === undefined) return undefined;
  const same = exchanges.filter((one) => one.call === last.call && troubleOf(one) === trouble);
  return `${last.call} ${trouble}${same.length > 1 ? ` (${same.length} times)` : ''}`;
}

/**
 * When another call may go better, in milliseconds from now; `undefined` where it would not. What the client itself has
 * tried more than once is not tried again: that would only multiply the tries.
 */
export function retryAfterMs(exchanges: readonly Exchange[]): number | undefined {
  const last = exchanges.at(-1);
  if (last === undefined || !isPassing(last)) return undefined;
  const failed = exchanges.filter((one) => one.call === last.call && troubleOf(one) !== undefined);
  // The key stays reserved for an upload that broke off: another try would only be told that it is taken.
  const reserved = exchanges.some(
    ({ call, status }) => status === 200 && call.startsWith('Create'),
  );
  return failed.length > 1 || reserved ? undefined : (last.retryAfterMs ?? 0);
}

function isPassing({ status, failure }: Exchange): boolean {
  return failure !== undefined || status === undefined || isPassingStatus(status);
}

/** The service's own failure, or its wish to be asked again later. */
export function isPassingStatus(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** Of `retry-after`, which GitHub gives in seconds. A date is not looked at: it needs a clock that agrees. */
export function headerMs(retryAfter: unknown): number | undefined {
  const seconds = Number(retryAfter ?? NaN);
  return seconds >= 0 ? seconds * 1000 : undefined;
}

function troubleOf({ status, failure }: Exchange): string | undefined {
  if (failure !== undefined) return failure;
  if (status === undefined) return 'got no answer';
  return status >= 400 ? `was answered ${status} ${STATUS_CODES[status] ?? ''}`.trim() : undefined;
}

/** Names the call whose requests are seen; it holds no state between calls. */
const ownExchanges = new AsyncLocalStorage<Exchange[]>();

async function observe<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  const exchanges: Exchange[] = [];
  const ours = new WeakMap<ClientRequest, Exchange>();
  // The casts: Node documents these channels' messages, but types every message as unknown.
  const channels = {
    'http.client.request.created': (message: unknown) => {
      if (ownExchanges.getStore() !== exchanges) return;
      const { request } = message as { request: ClientRequest };
      const exchange = { call: nameOf(request) };
      ours.set(request, exchange);
      exchanges.push(exchange);
    },
    'http.client.request.error': (message: unknown) => {
      const { request, error } = message as {
        request: ClientRequest;
        error: NodeJS.ErrnoException;
      };
      const exchange = ours.get(request);
      if (exchange === undefined) return;
      exchange.failure = `failed: ${error.code ?? error.message}`;
    },
    'http.client.response.finish': (message: unknown) => {
      const { request, response } = message as {
        request: ClientRequest;
        response: IncomingMessage;
      };
      const exchange = ours.get(request);
      if (exchange === undefined) return;
      if (response.statusCode !== undefined) exchange.status = response.statusCode;
      const waitMs = headerMs(response.headers['retry-after']);
      if (waitMs !== undefined) exchange.retryAfterMs = waitMs;
      response.once('close', () => {
        if (!response.complete) exchange.failure = 'broke off';
      });
    },
  };
  const listeners = Object.entries(channels);
  for (const [name, listener] of listeners) subscribe(name, listener);
  try {
    return { ok: true, value: await ownExchanges.run(exchanges, work), exchanges };
  } catch (error) {
    return { ok: false, error, exchanges };
  } finally {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
  }
}

/** Never the query: it holds the signature of a blob's URL. */
function nameOf(request: ClientRequest): string {
  const { pathname } = new URL(request.path, 'http://unknown');
  // `/twirp/SERVICE/METHOD` and, on older GitHub servers, `/_apis/artifactcache/RESOURCE`.
  if (/\/(?:twirp|_apis)\//.test(pathname)) return pathname.slice(pathname.lastIndexOf('/') + 1);
  return request.method === 'GET' || request.method === 'HEAD' ? 'download' : 'upload';
}
