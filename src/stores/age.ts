import type { Stanza } from 'age-encryption';

import { AppError, systemCodeOf } from '../errors.ts';

/** Who may open what is encrypted: whoever has an identity of one of the recipients, or knows the passphrase. */
export type Recipients =
  | { readonly kind: 'recipients'; readonly recipients: readonly string[] }
  | { readonly kind: 'passphrase'; readonly passphrase: string };

export interface Secrets {
  readonly identities: readonly string[];
  readonly passphrase: string | undefined;
}

/** Makes one file of `age`. */
export type Encrypt = (plain: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

/**
 * What is in one file of `age`. Gives no byte that was not authenticated.
 * @param label names the file in errors
 * @throws `snapshot-corrupt`; `wrong-key` where the header is well-formed, and none of the secrets opens it. That may be
 *   damage, too, which only a sum of the file can tell.
 */
export type Decrypt = (
  label: string,
  encrypted: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
) => AsyncIterable<Uint8Array>;

/** @throws `invalid-settings` for a recipient that is none; no message has a secret in it */
export async function createEncrypt(to: Recipients): Promise<Encrypt> {
  const { Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  if (to.kind === 'passphrase') encrypter.setPassphrase(to.passphrase);
  else for (const each of to.recipients) addTo(encrypter, each);
  return async function* (plain) {
    yield* await encrypter.encrypt(ReadableStream.from(plain));
  };
}

function addTo(encrypter: { addRecipient(recipient: string): void }, recipient: string): void {
  try {
    encrypter.addRecipient(recipient);
  } catch {
    // No cause: the package quotes what it does not understand.
    const shown = /AGE-SECRET-KEY-/i.test(recipient) ? 'an identity' : `"${recipient}"`;
    throw new AppError('invalid-settings', `encrypt-to: ${shown} is not an age recipient`, {
      hint: '"age-keygen -y FILE" prints the recipient of an identity',
    });
  }
}

/** @throws `invalid-settings` for an identity that is none; no message has any part of it */
export async function createDecrypt({ identities, passphrase }: Secrets): Promise<Decrypt> {
  const { Decrypter } = await import('age-encryption');
  const createDecrypter = (): InstanceType<typeof Decrypter> => {
    const decrypter = new Decrypter();
    for (const each of identities) decrypter.addIdentity(each);
    if (passphrase !== undefined) decrypter.addPassphrase(passphrase);
    return decrypter;
  };
  try {
    createDecrypter();
  } catch {
    // No cause here either.
    throw new AppError(
      'invalid-settings',
      'identity: what is given is no age identity, or damaged',
      {
        hint: 'It is the line that begins with AGE-SECRET-KEY- in a file that "age-keygen" has written',
      },
    );
  }
  return async function* (label, encrypted) {
    const decrypter = createDecrypter();
    // Asked last: once it is, the header is well-formed, and no secret before has opened it.
    let stanzas: readonly Stanza[] | undefined;
    decrypter.addIdentity({
      unwrapFileKey: (asked: readonly Stanza[]) => {
        stanzas = asked;
        return null;
      },
    });
    try {
      yield* await decrypter.decrypt(ReadableStream.from(requireHeader(label, encrypted)));
    } catch (error) {
      if (stanzas !== undefined) throw wrongKey(label, stanzas);
      // Not the package's: of who reads or writes.
      if (error instanceof AppError || systemCodeOf(error) !== undefined) throw error;
      throw damaged(label, 'it is no whole file of age');
    }
  };
}

export function damaged(label: string, how: string): AppError {
  return new AppError('snapshot-corrupt', `${label} is damaged: ${how}`);
}

function wrongKey(label: string, stanzas: readonly Stanza[]): AppError {
  const how = stanzas.some(({ args }) => args[0] === 'scrypt')
    ? 'with a passphrase, and not with one that was given'
    : 'for recipients, and no identity that was given is one of theirs';
  return new AppError('wrong-key', `${label} is encrypted ${how}`, {
    hint: 'Give an identity or a passphrase that it was encrypted for',
  });
}

/** As `age` itself writes them; one more doubles the time and the memory that opening takes. */
const scryptLimit = 18;
const scryptWork = /^-> scrypt \S+ (\d+)$/m;

/** One recipient takes 100 bytes, of the post-quantum kind 1600. */
const headerLimitBytes = 256 * 1024;
const headerEnd = /\n--- [A-Za-z0-9+/]{43}\n/;

/** The package takes into memory whatever comes before the end of a header, which need not come. */
async function* requireHeader(
  label: string,
  encrypted: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const bytes of encrypted) {
    if (head !== undefined) {
      head = Buffer.concat([head, bytes]);
      const text = head.toString('latin1', 0, headerLimitBytes);
      const end = headerEnd.exec(text);
      if (end) {
        const work = Number(scryptWork.exec(text.slice(0, end.index + 1))?.[1] ?? 0);
        if (work > scryptLimit)
          throw damaged(label, 'its passphrase asks for more work than age does');
        head = undefined;
      }
      if (head && head.length >= headerLimitBytes) throw damaged(label, 'it is no file of age');
    }
    yield bytes;
  }
}
