import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

import type { Decrypt, Encrypt } from './age.ts';

const chunkBytes = 1024 * 1024;

/** Encrypts `from` to the new file `to`. Resolves with the sha256 of what was written. */
export async function encryptFile(
  from: string,
  to: string,
  encrypt: Encrypt,
  signal: AbortSignal,
): Promise<string> {
  // Before all else: a stream that is given up may still make its file.
  await using file = await open(to, 'wx');
  const hash = createHash('sha256');
  await pipeline(
    createReadStream(from, { highWaterMark: chunkBytes }),
    encrypt,
    async function* (encrypted: AsyncIterable<Uint8Array>) {
      for await (const bytes of encrypted) {
        hash.update(bytes);
        yield bytes;
      }
    },
    file.createWriteStream({ highWaterMark: chunkBytes }),
    { signal },
  );
  return hash.digest('hex');
}

/**
 * Decrypts `from` to the new file `to`.
 * @param label names the file in errors
 * @throws as `decrypt`
 */
export async function decryptFile(
  label: string,
  { from, to }: { readonly from: string; readonly to: string },
  decrypt: Decrypt,
  signal: AbortSignal,
): Promise<void> {
  await using file = await open(to, 'wx');
  await pipeline(
    createReadStream(from, { highWaterMark: chunkBytes }),
    (encrypted: AsyncIterable<Uint8Array>) => decrypt(label, encrypted),
    file.createWriteStream({ highWaterMark: chunkBytes }),
    { signal },
  );
}
