import { execFile, type ExecFileOptionsWithStringEncoding } from 'node:child_process';

import {
  dockerConfigFile,
  fieldsOf,
  parseFields,
  readFields,
  textOf,
  type Environment,
  type Fields,
} from './docker-config.ts';
import { messageOf, systemCodeOf } from './errors.ts';
import type { Log } from './log.ts';

/** What "docker login" has left for a registry. */
export type RegistryLogin =
  | { readonly username: string; readonly password: string }
  /** To be exchanged for a token of the registry: https://distribution.github.io/distribution/spec/auth/oauth/ */
  | { readonly identityToken: string };

/**
 * @param registry its host, with the port if it has one; `docker.io` for Docker Hub
 * @throws `invalid-settings` for a config.json that is broken; `AbortError`
 */
export type FindLogin = (
  registry: string,
  signal?: AbortSignal,
) => Promise<RegistryLogin | undefined>;

export interface LoginSettings {
  readonly env: Environment;
  readonly log: Log;
  /** How long a helper may take: it may ask the user to open a keychain. */
  readonly helperMs?: number;
}

/** Docker Hub has one name in image references, and another one for logins. */
const hub = {
  server: 'https://index.docker.io/v1/',
  hosts: ['index.docker.io', 'docker.io', 'registry-1.docker.io'],
};

/** What helpers say for "none": https://github.com/docker/docker-credential-helpers/blob/master/credentials/error.go */
const notFound = 'credentials not found in native keychain';

/**
 * Finds logins where the docker client does: `$DOCKER_AUTH_CONFIG`, else the helper that config.json names for the
 * registry or for all, else the file itself. Each secret is masked. A login that cannot be had (a helper that is
 * missing or fails) is a warning, once: what is public needs none.
 * https://docs.docker.com/reference/cli/docker/login/#credential-stores
 */
export function createLoginFinder({ env, log, helperMs = 60_000 }: LoginSettings): FindLogin {
  const warned = new Set<string>();
  /** What `work` finds; a failure is a warning, and finds nothing. */
  async function tried(
    what: string,
    work: () => RegistryLogin | undefined | Promise<RegistryLogin | undefined>,
    signal?: AbortSignal,
  ): Promise<RegistryLogin | undefined> {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      const problem = `${what}: ${messageOf(error)}; going on without a login from it`;
      if (!warned.has(problem)) log.warn(problem);
      warned.add(problem);
      return undefined;
    }
  }

  async function find(registry: string, signal?: AbortSignal): Promise<RegistryLogin | undefined> {
    const isHub = hub.hosts.includes(registry);
    const names = isHub ? [hub.server, ...hub.hosts] : [registry];
    const given = await tried('DOCKER_AUTH_CONFIG cannot be used', () =>
      stored(parseFields(env['DOCKER_AUTH_CONFIG'] ?? ''), names),
    );
    if (given) return given;

    const file = dockerConfigFile(env);
    const config = readFields(file) ?? {};
    const helpers = fieldsOf(config['credHelpers']);
    const [helper = textOf(config['credsStore'])] = names.flatMap(
      (name) => textOf(helpers[name]) ?? [],
    );
    if (helper === undefined) {
      return tried(`the login for ${registry} in ${file} cannot be used`, () =>
        stored(config, names),
      );
    }
    const program = `docker-credential-${helper}`;
    const server = isHub ? hub.server : registry;
    return tried(
      `${program} does not tell the login for ${registry}`,
      () => ask(program, server, { env, signal, timeout: helperMs, killSignal: 'SIGKILL' }),
      signal,
    );
  }

  return async (registry, signal) => {
    const login = await find(registry, signal);
    const secret = login && ('identityToken' in login ? login.identityToken : login.password);
    if (secret) log.mask(secret);
    return login;
  };
}

function stored({ auths }: Fields, names: readonly string[]): RegistryLogin | undefined {
  const all = fieldsOf(auths);
  const name =
    names.find((each) => Object.hasOwn(all, each)) ??
    Object.keys(all).find((each) => names.includes(hostOf(each)));
  return name === undefined ? undefined : loginIn(fieldsOf(all[name]));
}

/** Names are hosts, and of older clients addresses: `https://registry.example/v1/`. */
function hostOf(name: string): string {
  return name.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

/** @throws for a text that is no login */
function loginIn({ auth, identitytoken, username, password }: Fields): RegistryLogin | undefined {
  const identityToken = textOf(identitytoken);
  if (identityToken !== undefined) return { identityToken };
  const encoded = textOf(auth);
  if (encoded === undefined) {
    const name = textOf(username);
    return name === undefined ? undefined : { username: name, password: textOf(password) ?? '' };
  }
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const at = decoded.indexOf(':');
  if (at < 1) throw new Error('"auth" is not NAME:PASSWORD in base64');
  return { username: decoded.slice(0, at), password: decoded.slice(at + 1).replace(/\0+$/, '') };
}

/** https://github.com/docker/docker-credential-helpers#development */
async function ask(
  program: string,
  server: string,
  options: ExecFileOptionsWithStringEncoding & { readonly timeout: number },
): Promise<RegistryLogin | undefined> {
  const answer = await new Promise<string | undefined>((resolve, reject) => {
    const child = execFile(program, ['get'], options, (error, stdout, stderr) => {
      const said = stdout.trim();
      if (!error) resolve(said);
      else if (said === notFound) resolve(undefined);
      else if (systemCodeOf(error) === 'ENOENT')
        reject(new Error('there is no such program on PATH'));
      else if (error.killed)
        reject(new Error(`it has not answered within ${options.timeout / 1000} s`));
      else reject(new Error(said || stderr.trim() || messageOf(error)));
    });
    // One that does not read is known by its answer.
    child.stdin?.on('error', () => undefined).end(server);
  });
  if (answer === undefined) return undefined;
  const { Username: username, Secret: secret } = parseFields(answer);
  const [name, password] = [textOf(username), textOf(secret) ?? ''];
  if (name === undefined) return undefined;
  return name === '<token>' ? { identityToken: password } : { username: name, password };
}
