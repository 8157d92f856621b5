import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { platform } from 'node:os';
import { join } from 'node:path';

import {
  dockerConfigDir,
  dockerConfigFile,
  fieldsOf,
  readFields,
  textOf,
  type Environment,
} from '../docker-config.ts';
import { AppError, messageOf, systemCodeOf } from '../errors.ts';

/** Where the container engine is. */
export interface DockerEndpoint {
  /** The address as users write it, and where it comes from: for messages. */
  readonly where: string;
  /** Its machine, if it is another one. Of an IPv6 address in brackets. */
  readonly remoteHost: string | undefined;
  readonly secure: boolean;
  /** What takes a request there. */
  readonly connection: Readonly<RequestOptions>;
  /** Before the path of each request. */
  readonly pathPrefix: string;
}

/** Who has said where the engine is. */
interface Source {
  readonly name: string;
  /** After an address. */
  readonly phrase: string;
}

interface Tls {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  readonly rejectUnauthorized: boolean;
}

/**
 * Finds the engine that the docker client would talk to: `DOCKER_HOST` before `DOCKER_CONTEXT` before the context that
 * `docker context use` has written down before the local socket.
 * https://docs.docker.com/engine/manage-resources/contexts/
 * @throws `docker-unreachable` for an address that cannot be used, and a context or TLS file that is not there;
 * `invalid-settings` for files of the client that are broken
 */
export function findEndpoint(env: Environment): DockerEndpoint {
  const host = env['DOCKER_HOST']?.trim();
  if (host) {
    const source = { name: 'DOCKER_HOST', phrase: 'given by DOCKER_HOST' };
    return endpointAt(host, source, () => tlsOfEnvironment(env));
  }
  const context =
    env['DOCKER_CONTEXT'] || textOf(readFields(dockerConfigFile(env))?.['currentContext']);
  if (context !== undefined && context !== 'default') return endpointOfContext(context, env);
  const source = { name: 'the default address', phrase: 'the default' };
  const wantsTls = Boolean(env['DOCKER_TLS_VERIFY'] || env['DOCKER_TLS']);
  return endpointAt(wantsTls ? 'tcp://localhost:2376' : localSocket(), source, () =>
    tlsOfEnvironment(env),
  );
}

function localSocket(): string {
  return platform() === 'win32' ? 'npipe:////./pipe/docker_engine' : 'unix:///var/run/docker.sock';
}

function endpointAt(host: string, source: Source, readTls: () => Tls | undefined): DockerEndpoint {
  const [, scheme = host.startsWith('/') ? 'unix' : 'tcp', rest = ''] =
    /^(?:([a-z]+):\/\/)?(.*)$/s.exec(host) ?? [];
  if (scheme === 'unix' || scheme === 'npipe') {
    const address = rest === '' ? localSocket() : `${scheme}://${rest}`;
    return {
      where: `${address}, ${source.phrase}`,
      remoteHost: undefined,
      secure: false,
      connection: { socketPath: address.slice(`${scheme}://`.length) },
      pathPrefix: '',
    };
  }
  if (scheme !== 'tcp') throw unusable(source, `${scheme}:// is not supported`);
  // As the client has it, the machine and the port may be left out.
  const address = URL.parse(`tcp://${rest.replace(/^(?=:|\/|$)/, 'localhost')}`);
  if (!address) throw unusable(source, `"${host}" is no address`);
  const { hostname, port, pathname } = address;
  const tls = readTls();
  return {
    where: `tcp://${hostname}:${port || defaultPort}, ${source.phrase}`,
    remoteHost: hostname,
    secure: tls !== undefined,
    connection: { hostname: hostname.replace(/^\[|\]$/g, ''), port: port || defaultPort, ...tls },
    pathPrefix: pathname.replace(/\/$/, ''),
  };
}

const defaultPort = '2375';

function unusable(source: Source, problem: string): AppError {
  return new AppError('docker-unreachable', `${source.name} cannot be used: ${problem}`, {
    hint: 'Its address has to be unix:///path/to.sock or tcp://host:port (an ssh host: forward its socket with "ssh -L")',
  });
}

/** Any value turns it on. https://docs.docker.com/engine/security/protect-access/ */
function tlsOfEnvironment(env: Environment): Tls | undefined {
  const verify = Boolean(env['DOCKER_TLS_VERIFY']);
  if (!verify && !env['DOCKER_TLS']) return undefined;
  const folder = env['DOCKER_CERT_PATH'] || dockerConfigDir(env);
  const files = tlsFiles(folder);
  if (files.ca === undefined) {
    throw new AppError(
      'docker-unreachable',
      `there is no ${join(folder, 'ca.pem')} to know the container engine by`,
      {
        hint: `${verify ? 'DOCKER_TLS_VERIFY' : 'DOCKER_TLS'} is set, so ca.pem, and cert.pem and key.pem where the engine wants them, have to be in DOCKER_CERT_PATH`,
      },
    );
  }
  return { ...files, rejectUnauthorized: verify };
}

function tlsFiles(folder: string): Omit<Tls, 'rejectUnauthorized'> {
  const read = (name: string): Buffer | undefined => {
    try {
      return readFileSync(join(folder, name));
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw new AppError(
        'docker-unreachable',
        `${join(folder, name)} cannot be read: ${messageOf(error)}`,
        { cause: error },
      );
    }
  };
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

/** https://github.com/docker/cli/blob/master/cli/context/store/doc.go */
function endpointOfContext(name: string, env: Environment): DockerEndpoint {
  const folder = join(dockerConfigDir(env), 'contexts');
  const id = createHash('sha256').update(name).digest('hex');
  const meta = readFields(join(folder, 'meta', id, 'meta.json'));
  const source = { name: `the context ${name}`, phrase: `of the context ${name}` };
  if (!meta) {
    const others = ['default', ...contextsIn(join(folder, 'meta'))].join(', ');
    throw new AppError('docker-unreachable', `there is no context ${name}`, {
      hint: `${env['DOCKER_CONTEXT'] ? 'DOCKER_CONTEXT names it' : `"docker context use" has chosen it in ${dockerConfigFile(env)}`}. There are: ${others}`,
    });
  }
  const endpoint = fieldsOf(fieldsOf(meta['Endpoints'])['docker']);
  const skipVerify = endpoint['SkipTLSVerify'] === true;
  return endpointAt(textOf(endpoint['Host']) ?? localSocket(), source, () => {
    const files = tlsFiles(join(folder, 'tls', id, 'docker'));
    const any = Object.values(files).some((file) => file !== undefined);
    return any || skipVerify ? { ...files, rejectUnauthorized: !skipVerify } : undefined;
  });
}

/** Their names, as far as their files can be read. */
function contextsIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .flatMap((id) => textOf(readFields(join(folder, id, 'meta.json'))?.['Name']) ?? [])
      .sort();
  } catch {
    return [];
  }
}
