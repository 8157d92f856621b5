import { AppError, isAbort, messageOf, systemCodeOf, toAppError } from '../errors.ts';

/** The HTTP status of an engine's answer, where `error` is one. */
export function statusOf(error: unknown): number | undefined {
  return Error.isError(error) && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
}

/** A refusal inside a stream that began well: it has no status. */
export class StreamedRefusal extends Error {
  override readonly name = 'StreamedRefusal';
}

/** What the engine said, without the client library's own prefix. */
function engineMessage(error: unknown): string {
  if (
    Error.isError(error) &&
    'json' in error &&
    error.json !== null &&
    typeof error.json === 'object'
  ) {
    const { message } = error.json as { message?: unknown };
    if (typeof message === 'string') return message;
  }
  return messageOf(error)
    .replace(/^\(HTTP code \d+\) [^-]* - /, '')
    .trimEnd();
}

/**
 * What the connection itself says: a system code, or one of TLS, or of an answer that broke off. Node's other `ERR_...`
 * are our mistakes instead.
 */
function connectionCodeOf(error: unknown): string | undefined {
  const code = systemCodeOf(error);
  return code?.startsWith('ERR_') && !/^ERR_(TLS_|SSL_|STREAM_PREMATURE_CLOSE)/.test(code)
    ? undefined
    : code;
}

/** No connection can be made for want of these here: that says nothing of the engine. */
const ownLimits: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EADDRNOTAVAIL']);

/** What to do about a refusal that is known by its words alone: the engine has one status for all of them. */
const knownRefusals: readonly (readonly [RegExp, string])[] = [
  [
    /exec format error/i,
    'The image is for another architecture: choose one for this machine, or set up emulation (binfmt)',
  ],
  [
    /mounts denied|not shared from the host/i,
    'Share the folder in the settings of Docker Desktop (Resources, File sharing), or use a volume',
  ],
  [
    /cannot be mapped to a host id/i,
    'Its containers have no user of that number: give them a longer range of ids, in /etc/subuid and /etc/subgid',
  ],
];

const forbidden =
  'Something between here and the engine forbids it, such as an authorization plugin or a proxy: have it allowed';

const refusalHints: Readonly<Record<number, string>> = {
  400: 'It takes one of the settings for wrong: its words say which',
  401: forbidden,
  403: forbidden,
  404: 'What its words name is not there, or not any more: make it, or try again',
  407: forbidden,
  409: 'What its words name is in use, or in a state that does not allow it: try again when it is not',
  501: 'This engine cannot do it: use another one',
  503: 'It is not ready for it: try again when it is',
};

function refusalHint(status: number | undefined, said: string): string {
  const [, known] = knownRefusals.find(([words]) => words.test(said)) ?? [];
  return (
    known ??
    refusalHints[status ?? 0] ??
    `Look at the log of the engine, too ("journalctl -u docker")`
  );
}

/**
 * Translates what dockerode throws. `what` is the operation in words ("create the volume orders-data"), `where` the
 * engine's address and where that comes from.
 * Connection failures carry a system code, the engine's answers an HTTP status; neither is known by its text.
 */
export function translateDockerError(what: string, error: unknown, where: string): AppError {
  if (error instanceof AppError) return error;
  if (isAbort(error)) {
    return new AppError('cancelled', `cancelled: ${what}`, { cause: error });
  }
  const code = statusOf(error) === undefined ? connectionCodeOf(error) : undefined;
  if (code !== undefined && ownLimits.has(code)) return toAppError(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return new AppError(
      'docker-unreachable',
      `permission denied on the container engine's socket ${where}`,
      {
        cause: error,
        hint: 'Add this user to the "docker" group (sudo usermod -aG docker $USER, then log in again), or set DOCKER_HOST to an engine you may use',
      },
    );
  }
  if (code !== undefined) {
    return new AppError('docker-unreachable', `no container engine answers at ${where} (${code})`, {
      cause: error,
      hint: 'Start one (sudo systemctl start docker, or Docker Desktop), or choose another with DOCKER_HOST or "docker context use"',
    });
  }
  const said = engineMessage(error);
  // The engine has no code for it: its words are all there is.
  if (/no space left on device|disk quota exceeded/i.test(said)) {
    return new AppError('copy-failed', `could not ${what}: ${said}`, {
      cause: error,
      hint: 'Free some space on the disk of the container engine: "docker system df" tells what takes it',
    });
  }
  const status = statusOf(error);
  if (status === undefined && !(error instanceof StreamedRefusal)) {
    return toAppError(error);
  }
  return new AppError('engine-refused', `could not ${what}: ${said}`, {
    cause: error,
    hint: refusalHint(status, said),
  });
}

/** For an answer that is no JSON, which every engine gives. `what` it was to say. */
export function unreadableAnswer(what: string, cause: unknown): AppError {
  return new AppError('engine-refused', `the engine's answer cannot be read: ${what}`, {
    cause,
    hint: 'Look at what DOCKER_HOST leads to, and at proxies before it',
  });
}

/**
 * As {@link translateDockerError}, for a failed pull.
 * @param from where the image should come from, and whether with a login
 */
export function translatePullError(
  reference: string,
  error: unknown,
  where: string,
  from: { readonly registry: string; readonly loggedIn: boolean },
): AppError {
  const translated = translateDockerError(`pull the image ${reference}`, error, where);
  const isFull = translated.code === 'copy-failed';
  if (translated.code !== 'engine-refused' && !isFull) return translated;
  const said = engineMessage(error);
  return new AppError('image-unavailable', `could not pull the image ${reference}: ${said}`, {
    cause: error,
    hint: (isFull ? translated.hint : undefined) ?? pullHint(said, from),
  });
}

function pullHint(
  said: string,
  { registry, loggedIn }: { readonly registry: string; readonly loggedIn: boolean },
): string {
  const logIn = `docker login${registry === 'docker.io' ? '' : ` ${registry}`}`;
  // The registry's code for it, which the engine passes on as words: https://docs.docker.com/docker-hub/usage/
  if (said.includes('toomanyrequests')) {
    return loggedIn
      ? 'Wait a while, or use another account: the limit of this one is reached'
      : `Log in to raise the limit: run "${logIn}" in an earlier step`;
  }
  return loggedIn
    ? `Check the name, and whether the login for ${registry} is still good and may read it`
    : `Check the name; if the image is private, run "${logIn}" in an earlier step`;
}
