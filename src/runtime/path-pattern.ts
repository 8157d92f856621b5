import { AppError } from '../errors.ts';
import type { LeftOut } from '../snapshot/manifest.ts';

/** One name, or some of its characters: GNU tar and we must not read them in two ways. */
const plain = /^[\w.#-]$/;
const classOf = /^\[[0-9A-Za-z-]+\]$/;

/**
 * Whether a path of a tar's entry is one of these, or below one. As GNU tar's own `--exclude` with `--anchored
 * --no-wildcards-match-slash` in the locale C: names are bytes (one character each), and a dot in front is as any other.
 */
export function matcherOf(leftOut: readonly LeftOut[]): (path: string) => boolean {
  if (leftOut.length === 0) return () => false;
  const all = leftOut.map(({ pattern }) => expressionOf(pattern)).join('|');
  const expression = new RegExp(`^(?:${all})(?:/|$)`);
  return (path) => {
    const below = path.replace(/^\.\/|\/$/g, '');
    return below !== '' && expression.test(below);
  };
}

function expressionOf(pattern: string): string {
  const parts = pattern.match(/\[[^\]]*\]|[^]/g) ?? [];
  return parts.map((part) => expressionOfPart(part, pattern)).join('');
}

function expressionOfPart(part: string, pattern: string): string {
  if (part === '*') return '[^/]*';
  if (part === '?') return '[^/]';
  if (part === '/' || classOf.test(part)) return part;
  if (plain.test(part)) return part === '.' ? '\\.' : part;
  throw new AppError('internal', `not a pattern of paths: ${JSON.stringify(pattern)}`);
}
