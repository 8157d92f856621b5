import { AppError, messageOf, systemCodeOf } from '../errors.ts';

/** The HTTP status of an engine's answer, where `error` is one. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
}

/** What the engine said, without the client library's own prefix. */
function engineMessage(error: unknown): string {
  if (
    error instanceof Error &&
    'json' in error &&
    error.json !== null &&
    typeof error.json === 'object'
  ) {
    const { message } = error.json as { message?: unknown };
    if (typeof message === 'string') return message;
  }
  return messageOf(error);
}

/**
 * Translates what dockerode throws. `what` is the operation in words ("create the volume orders-data").
 * Connection failures carry a system code, the engine's answers an HTTP status; neither is known by its text.
 */
export function translateDockerError(what: string, error: unknown, address: string): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error && error.name === 'AbortError') {
    return new AppError('cancelled', `cancelled: ${what}`, { cause: error });
  }
  if (statusOf(error) === undefined) {
    const code = systemCodeOf(error);
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
    return new AppError(
      'docker-unreachable',
      `no container engine answers at ${address} (${code ?? messageOf(error)})`,
      {
        cause: error,
        hint: 'Start one (sudo systemctl start docker, or Docker Desktop), or set DOCKER_HOST',
      },
    );
  }
  return new AppError('internal', `could not ${what}: ${engineMessage(error)}`, { cause: error });
}

/** As {@link translateDockerError}, for a failed pull. */
export function translatePullError(reference: string, error: unknown, address: string): AppError {
  const translated = translateDockerError(`pull the image ${reference}`, error, address);
  if (translated.code === 'cancelled') return translated;
  // A broken pull is reported inside the progress stream, without a status: ask nothing of its shape.
  if (translated.code === 'docker-unreachable' && systemCodeOf(error) !== undefined)
    return translated;
  return new AppError(
    'image-unavailable',
    `could not pull the image ${reference}: ${engineMessage(error)}`,
    {
      cause: error,
      hint: `Check the name, and for a private registry run "docker login" and "docker pull ${reference}" in an earlier step`,
    },
  );
}
