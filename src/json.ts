import type { AppError } from './errors.ts';

/**
 * What a JSON text from outside holds: nobody has looked at it yet. The only place that parses JSON, so that none that is
 * broken can be taken for a bug.
 * @param refusal the error for a text that is no JSON
 */
export function parseJson(text: string, refusal: (cause: unknown) => AppError): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refusal(error);
  }
}
