import { AppError, isAbort, messageOf, systemCodeOf } from '../errors.ts';

/** The HTTP status of an engine's answer, where `error` is one. */
export function statusOf(error: unknown): number | undefined {
  return Error.isError(error) && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
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
  return messageOf(error);
}

/** What the connection itself says: a system code, or one of TLS. Node's own `ERR_...` are our mistakes instead. */
function connectionCodeOf(error: unknown): string | undefined {
  const code = systemCodeOf(error);
  return code?.startsWith('ERR_') && !/^ERR_(TLS|SSL)_/.test(code) ? undefined : code;
}

/**
 * Translates what dockerode throws. `what` is the operation in words ("create the volume orders-data").
 * Connection failures carry a system code, the engine's answers an HTTP status; neither is known by its text.
 */
export function translateDockerError(what: string, error: unknown, address: string): AppError {
  if (error instanceof AppError) return error;
  if (isAbort(error)) {
    return new AppError('cancelled', `cancelled: ${what}`, { cause: error });
  }
  const code = statusOf(error) === undefined ? connectionCodeOf(error) : undefined;
  if (code === 'EACCES' || code === 'EPERM') {
    return new AppError(
      'docker-unreachable',
      `permission denied on the container engine's socket ${address}`,
      {
        cause: error,
        hint: 'Add this user to the "docker" group (sudo usermod -aG docker $USER, then log in again), or set DOCKER_HOST to an engine you may use',
      },
    );
  }
  if (code !== undefined) {
    return new AppError(
      'docker-unreachable',
      `no container engine answers at ${address} (${code})`,
      {
        cause: error,
        hint: 'Start one (sudo systemctl start docker, or Docker Desktop), or set DOCKER_HOST',
      },
    );
  }
  const said = engineMessage(error);
  // The engine has no code for it: its words are all there is.
  if (/no space left on device|disk quota exceeded/i.test(said)) {
    return new AppError('copy-failed', `could not ${what}: ${said}`, {
      cause: error,
      hint: 'Free some space on the disk of the container engine: "docker system df" tells what takes it',
    });
  }
  return new AppError('internal', `could not ${what}: ${said}`, { cause: error });
}

/** As {@link translateDockerError}, for a failed pull. */
export function translatePullError(reference: string, error: unknown, address: string): AppError {
  const translated = translateDockerError(`pull the image ${reference}`, error, address);
  if (translated.code !== 'internal' && translated.code !== 'copy-failed') return translated;
  return new AppError(
    'image-unavailable',
    `could not pull the image ${reference}: ${engineMessage(error)}`,
    {
      cause: error,
      // A full disk has one that fits.
      hint:
        translated.hint ??
        `Check the name, and for a private registry run "docker login" and "docker pull ${reference}" in an earlier step`,
    },
  );
}
