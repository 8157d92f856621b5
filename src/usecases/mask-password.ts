import type { Credentials, Engine } from '../engines/engine.ts';
import type { Log } from '../log.ts';

/** Before anything is printed that may show it: what a server says when it fails, too. */
export function maskPassword(
  log: Log,
  engine: Engine,
  { password }: Pick<Credentials, 'password'>,
): void {
  if (!isSecret(engine, password)) return;
  log.mask(password);
  log.mask(encodeURIComponent(password)); // as it stands in the URL
}

/** Masking a default such as "postgres" would only make every log unreadable. */
export function isSecret({ defaults }: Engine, password: string): boolean {
  return password !== '' && password !== defaults.password;
}
