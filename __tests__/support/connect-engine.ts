import { silentLog } from '../../src/index.ts';
import type { Environment } from '../../src/docker-config.ts';
import { createLoginFinder } from '../../src/registry-login.ts';
import { connectDocker } from '../../src/runtime/docker.ts';
import type { EngineLimits } from '../../src/runtime/docker-deadlines.ts';
import type { ContainerRuntime } from '../../src/runtime/runtime.ts';

/** To the engine of the tests, or to the one that another environment says. */
export function connectEngine(
  env: Environment = process.env,
  limits?: EngineLimits,
  log = silentLog,
): ContainerRuntime {
  const findLogin = createLoginFinder({ env, log });
  return connectDocker({ env, findLogin, ...(limits && { limits }) });
}
