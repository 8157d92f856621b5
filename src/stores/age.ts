import { createCipheriv, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';

import type * as Age from 'age-encryption';

import { AppError } from '../errors.ts';

/** Who may open what is encrypted: whoever has an identity of one of the recipients, or knows the passphrase. */
export type Recipients =
  | { readonly kind: 'recipients'; readonly recipients: readonly string[] }
  | { readonly kind: 'passphrase'; readonly passphrase: string };

export interface Secrets {
  readonly identities: readonly string[];
  readonly passphrase: string | undefined;
}

/** The header of one new file, and the key that it holds for those who can open it. */
export type MakeHeader = () => Promise<{ readonly header: Uint8Array; readonly fileKey: Buffer }>;

/**
 * The key that a header holds. `no-match`: the header is well-formed, and none of the secrets opens it.
 * Rejects for a header that is none, or that was altered.
 */
export type OpenHeader = (header: Uint8Array) => Promise<OpenedHeader>;
export type OpenedHeader =
  | { readonly kind: 'open'; readonly fileKey: Uint8Array }
  | { readonly kind: 'no-match'; readonly wants: 'identity' | 'passphrase' };

/** @throws `invalid-settings` for a recipient that is none */
export async function createHeaderMaker(to: Recipients): Promise<MakeHeader> {
  const age = await import('age-encryption');
  const others: (string | Age.Recipient)[] =
    to.kind === 'passphrase' ? [passphraseRecipient(age, to.passphrase)] : [...to.recipients];
  const isRecipient = (each: string | Age.Recipient): boolean =>
    works(() => {
      new age.Encrypter().addRecipient(each);
    });
  const strange = others.find((each) => !isRecipient(each));
  if (typeof strange === 'string') {
    throw new AppError('invalid-settings', `encrypt-to: "${strange}" is not an age recipient`, {
      hint: '"age-keygen -y FILE" prints the recipient of an identity',
    });
  }
  return async () => {
    const encrypter = new age.Encrypter();
    let fileKey = Buffer.alloc(0);
    encrypter.addRecipient({
      wrapFileKey: (key) => {
        fileKey = Buffer.from(key);
        return [];
      },
    });
    for (const each of others) encrypter.addRecipient(each);
    // The file of no bytes: the header, the nonce (16 bytes) and one empty block (16 bytes), which are not used.
    const file = await encrypter.encrypt(new Uint8Array(0));
    return { header: file.subarray(0, -32), fileKey };
  };
}

/** @throws `invalid-settings` for an identity that is none; no message has any part of it */
export async function createHeaderOpener({ identities, passphrase }: Secrets): Promise<OpenHeader> {
  const age = await import('age-encryption');
  // The package quotes what it does not understand: its error is no cause of ours.
  const isIdentity = (each: string): boolean =>
    works(() => {
      new age.Decrypter().addIdentity(each);
    });
  if (!identities.every(isIdentity)) {
    throw new AppError(
      'invalid-settings',
      'identity: what is given is no age identity, or damaged',
      {
        hint: 'It is the line that begins with AGE-SECRET-KEY- in a file that "age-keygen" has written',
      },
    );
  }
  return async (header) => {
    const decrypter = new age.Decrypter();
    for (const each of identities) decrypter.addIdentity(each);
    if (passphrase !== undefined) decrypter.addPassphrase(passphrase);
    // Asked last: once it is, the header is well-formed, and no secret before has opened it.
    let stanzas: readonly Age.Stanza[] | undefined;
    decrypter.addIdentity({
      unwrapFileKey: (asked: readonly Age.Stanza[]) => {
        stanzas = asked;
        return null;
      },
    });
    try {
      return { kind: 'open', fileKey: await decrypter.decryptHeader(header) };
    } catch (error) {
      if (stanzas === undefined) throw error;
      const isPassphrase = stanzas.some(({ args }) => args[0] === 'scrypt');
      return { kind: 'no-match', wants: isPassphrase ? 'passphrase' : 'identity' };
    }
  };
}

function works(call: () => void): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

/** As `age --passphrase` has it. About a second of work, and 256 MiB. */
const workFactor = 18;

/** The package's own one is not to be had beside another recipient. https://c2sp.org/age#scrypt-recipient-stanza */
function passphraseRecipient({ Stanza }: typeof Age, passphrase: string): Age.Recipient {
  return {
    async wrapFileKey(fileKey) {
      const salt = randomBytes(16);
      const labelled = Buffer.concat([Buffer.from('age-encryption.org/v1/scrypt'), salt]);
      const options = { N: 2 ** workFactor, r: 8, p: 1, maxmem: 2 ** (workFactor + 11) };
      const key = await deriveKey(passphrase, labelled, 32, options);
      const cipher = createCipheriv('chacha20-poly1305', key, Buffer.alloc(12), {
        authTagLength: 16,
      });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      return [new Stanza(['scrypt', unpadded(salt), String(workFactor)], new Uint8Array(body))];
    },
  };
}

const deriveKey: (
  password: string,
  salt: Buffer,
  lengthBytes: number,
  options: object,
) => Promise<Buffer> = promisify(scrypt);

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
