import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { AppError, systemCodeOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { atHome } from '../paths.ts';
import { createDecrypt, createEncrypt } from './age.ts';
import type { StoreKeys } from './encrypted.ts';

/** As given. */
export interface SecretTexts {
  /** Identities of age (`AGE-SECRET-KEY-1...`) and files of them, one a line. */
  readonly identity?: string | undefined;
  readonly passphrase?: string | undefined;
}

export interface KeyTexts extends SecretTexts {
  /** Recipients of age. */
  readonly encryptTo: readonly string[];
}

/** What relative paths and `~/` stand for. */
interface Folders {
  readonly cwd: string;
  readonly home?: string | undefined;
}

/**
 * What encrypts and what opens. The package that does it is loaded only where there is something to do, and every
 * secret is masked.
 * @throws `invalid-settings`, which never has a secret in it
 */
export async function readKeys(
  { encryptTo, identity: identityText = '', passphrase: passphraseText = '' }: KeyTexts,
  { log, ...folders }: Folders & { readonly log: Log },
): Promise<StoreKeys> {
  const passphrase = passphraseText.trim() || undefined;
  if (passphrase !== undefined && encryptTo.length > 0) {
    throw new AppError('invalid-settings', 'both "encrypt-to" and "passphrase" are given', {
      hint: 'A file of age is either for recipients or for a passphrase: leave one of them out',
    });
  }
  const identities = await readIdentities(identityText, folders);
  for (const identity of identities) log.mask(identity);
  if (passphrase !== undefined) log.mask(passphrase);
  const isOpener = identities.length > 0 || passphrase !== undefined;
  return {
    decrypt: isOpener ? await createDecrypt({ identities, passphrase }) : undefined,
    encrypt:
      passphrase !== undefined
        ? await createEncrypt({ kind: 'passphrase', passphrase })
        : encryptTo.length > 0
          ? await createEncrypt({ kind: 'recipients', recipients: encryptTo })
          : undefined,
  };
}

const isIdentity = (line: string): boolean => /^AGE-SECRET-KEY-/.test(line);

async function readIdentities(text: string, folders: Folders): Promise<string[]> {
  const identities: string[] = [];
  for (const [at, line] of contentLines(text).entries()) {
    if (isIdentity(line)) identities.push(line);
    else identities.push(...(await readIdentityFile(line, folders, at + 1)));
  }
  return identities;
}

/** @param line not shown: it may be a secret that somebody has mistyped */
async function readIdentityFile(
  line: string,
  { cwd, home }: Folders,
  number: number,
): Promise<string[]> {
  const fail = (what: string): AppError =>
    new AppError('invalid-settings', `identity: line ${number} ${what}`, {
      hint: 'Give AGE-SECRET-KEY-1..., or the path of a file that "age-keygen" has written',
    });
  let path;
  try {
    path = resolve(cwd, atHome(line, home));
  } catch {
    throw fail('begins with a "~" that stands for no home folder here');
  }
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw fail(
      `is neither an identity of age nor a file that can be read (${systemCodeOf(error) ?? 'no path'})`,
    );
  }
  const identities = contentLines(text);
  if (identities.length > 0 && identities.every(isIdentity)) return identities;
  throw fail('is a file that does not hold identities of age, and nothing else');
}

/** Without comments, which `age-keygen` writes. */
function contentLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
