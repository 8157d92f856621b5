import type { IncomingMessage, ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';

/** The JSON form of a Twirp message. */
export type Message = Readonly<Record<string, unknown>>;

/** A Twirp error, which is an HTTP status with `code` and `msg` in JSON. */
export class TwirpError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** One Twirp method: a message in, a message out, or a TwirpError. */
export type Method = (request: Message) => Message | Promise<Message>;

/** A field of a message as text; the clients leave out what is empty. */
export function text(message: Message, field: string): string {
  const value = message[field];
  return typeof value === 'string' ? value : '';
}

export function texts(message: Message, field: string): readonly string[] {
  const value = message[field];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

export async function readMessage(request: IncomingMessage): Promise<Message> {
  const value: unknown = await json(request);
  if (typeof value !== 'object' || value === null) {
    throw new TwirpError(400, 'malformed', 'the body is no JSON object');
  }
  return value as Message; // an object parsed from JSON has text keys
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: Message,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

const CODES: Readonly<Record<number, string>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  409: 'already_exists',
  429: 'resource_exhausted',
  503: 'unavailable',
};

/** The error that a Twirp service answers with this status. */
export const errorOfStatus = (status: number): TwirpError =>
  new TwirpError(status, CODES[status] ?? 'internal', 'fault asked for by the test');
