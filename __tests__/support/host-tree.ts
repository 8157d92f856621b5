import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is in a folder of this machine, with all that a change would show in but the times of reading. */
export function hostTree(dir: string): Readonly<Record<string, string>> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).toSorted();
  const entries = ['', ...names].map((name) => {
    const path = join(dir, name);
    const { mode, uid, gid, ino, nlink, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
    const content = lstatSync(path).isFile() ? readFileSync(path, 'latin1') : '';
    return [name, [mode, uid, gid, ino, nlink, mtimeNs, ctimeNs, content].join(' ')] as const;
  });
  return Object.fromEntries(entries);
}
