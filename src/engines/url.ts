import type { Credentials } from './engine.ts';

/** What stands before the host in a URL. */
export function userInfo({ user, password }: Pick<Credentials, 'user' | 'password'>): string {
  const name = encodeURIComponent(user);
  return password === '' ? `${name}@` : `${name}:${encodeURIComponent(password)}@`;
}
