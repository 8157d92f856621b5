import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const file = resolve(import.meta.dirname, '../../.work/test-images.json');

/**
 * The reference of an image for tests, by the name that is wanted (`postgres:17`, `no-tar`): that very image where it
 * could be pulled, else a stand-in that script/test-images has built.
 */
export function testImage(name: string): string {
  const reference = readTable()[name]?.reference;
  if (reference !== undefined) return reference;
  throw new Error(`there is no test image ${name}: run script/test-images first`);
}

type Table = Readonly<Record<string, { readonly reference: string } | undefined>>;

function readTable(): Table {
  try {
    // A cast: script/test-images writes this file, in this form.
    return JSON.parse(readFileSync(file, 'utf8')) as Table;
  } catch (cause) {
    throw new Error(`cannot read ${file}: run script/test-images first`, { cause });
  }
}
