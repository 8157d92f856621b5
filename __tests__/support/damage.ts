import { readFile, rm, writeFile } from 'node:fs/promises';

/** Stored files are read-only, and may share their bytes with others: a new file takes their place. */
async function alter(file: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = change(await readFile(file));
  await rm(file);
  await writeFile(file, bytes);
}

/** Turns one bit, of the first byte at 0 and of the last one at 1. */
export function flipBit(file: string, where: number): Promise<void> {
  return alter(file, (bytes) => {
    const at = Math.floor((bytes.length - 1) * where);
    bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
    return bytes;
  });
}

/** Keeps so many bytes, or a share of them when it is less than 1. */
export function truncateFile(file: string, size: number): Promise<void> {
  return alter(file, (bytes) =>
    Buffer.from(bytes.subarray(0, size < 1 ? bytes.length * size : size)),
  );
}
