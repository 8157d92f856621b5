import { AppError } from '../errors.ts';
import type { TarEntry } from './tar-reader.ts';

// Names in archives are bytes, one character each (latin1).

/** A part of a path that is empty, or one of the names that every folder has. */
const oddPart = /(?:^|\/)\.{0,2}(?:\/|$)/;

/** The one spelling of a path in an archive: `a/b` for `/a/b`, `./a//b/` and the like; empty for the root. */
export function pathOf(name: string): string {
  const inner = name.startsWith('./') ? name.slice(2) : name;
  if (!oddPart.test(inner)) return inner;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) {
    throw unusable(`it has the path ${shownName(name)}: with ".." it can lead anywhere`);
  }
  return parts.join('/');
}

/**
 * Before there was a type for folders, a slash told them. A file with holes has a placeholder for its name, which GNU tar
 * cuts where there is no more room, be it after a slash. @throws `snapshot-corrupt`
 */
export function isFolder({ type, name: given, sparseName, contentBytes }: TarEntry): boolean {
  const name = sparseName ?? given;
  if (type !== '0' || !name.endsWith('/')) return type === '5';
  if (contentBytes > 0) throw unusable(`the folder ${shownName(name)} has content`);
  return true;
}

/** The path relative to `folder`, empty for the folder itself; `undefined` for what is not in it. */
export function pathIn(folder: string, path: string): string | undefined {
  if (folder === '') return path;
  if (path === folder) return '';
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined;
}

/** What the two paths begin with alike. */
export function commonFolder(a: string, b: string): string {
  const [left, right] = [a.split('/'), b.split('/')];
  const differs = left.findIndex((part, i) => part !== right[i]);
  return differs === -1 ? a : left.slice(0, differs).join('/');
}

/** For people, and harmless on a terminal. */
export function shownName(name: string): string {
  return Buffer.from(name, 'latin1')
    .toString('utf8')
    .replace(/\p{Cc}/gu, '?');
}

/** A text of the user's, as bytes. */
export function nameBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** A stream that is tar, but not what can be used. The problem goes on from the archive's name. */
export function unusable(problem: string): AppError {
  return new AppError('snapshot-corrupt', problem);
}
