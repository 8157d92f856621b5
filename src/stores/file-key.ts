import { createHash } from 'node:crypto';

import { AppError } from '../errors.ts';

/** What a name may have on every file system in use: 255 bytes. */
const longestName = 255;
/** How much of a name that is too long is kept, for people. The mark and 64 digits of sha256 follow. */
const keptOfLongName = 160;
/** Marks an abridged name. No other name has it. */
const abridged = '~';

/**
 * The name of the folder that holds the snapshot of `key`: one path segment that stands for this key only.
 *
 * Lower case letters, digits and `.`, `_`, `-` are themselves; every other byte of the key's UTF-8 is a `%` and two
 * digits, as in a URL. Upper case is encoded too, as names that differ in case only are one file on macOS and Windows.
 * So is a dot at either end: `.` and `..` are not names, hidden folders are not snapshots, and Windows drops the last.
 *
 * A name over 255 bytes is cut, and the sha256 of the key put after it. Such a name does not tell its key: it has to
 * be kept beside, see `keyOf`.
 * @throws `invalid-settings` for an empty key and for one that is not Unicode (half of a surrogate pair)
 */
export function folderName(key: string): string {
  if (key === '' || !key.isWellFormed()) {
    throw new AppError('invalid-settings', `a key must be Unicode text: ${JSON.stringify(key)}`);
  }
  const name = key.replace(/^\.|\.$|[^a-z0-9._-]/gu, percentEncode);
  if (name.length <= longestName) return name;
  const digest = createHash('sha256').update(key).digest('hex');
  return `${name.slice(0, keptOfLongName)}${abridged}${digest}`;
}

/** True for a name that does not tell its key. */
export function isAbridged(name: string): boolean {
  return name.includes(abridged);
}

/** The key that `name` stands for, `undefined` where it stands for none. `keptKey`: what is kept for abridged names. */
export function keyOf(name: string, keptKey?: string): string | undefined {
  const key = isAbridged(name) ? keptKey : percentDecode(name);
  // The way back settles every other question: only the one right spelling of a name is a snapshot's.
  return key !== undefined && key !== '' && key.isWellFormed() && folderName(key) === name
    ? key
    : undefined;
}

function percentEncode(character: string): string {
  return Buffer.from(character).toString('hex').replaceAll(/../g, '%$&');
}

function percentDecode(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    // A foreign name with a percent sign in it, or bytes that are not UTF-8.
    return undefined;
  }
}
