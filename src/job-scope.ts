import { createHash } from 'node:crypto';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Databases that are started in one job have names of their own. All jobs of a matrix have one id, and may run at the
 * same time on one host, each with a runner of its own: its name may be used elsewhere again, its folder not on this
 * host. https://docs.github.com/en/actions/reference/workflows-and-actions/variables
 */
export function jobScope(env: Env): string {
  const runner = createHash('sha256')
    .update(`${env['RUNNER_NAME'] ?? ''}\n${env['RUNNER_TEMP'] ?? ''}`)
    .digest('hex');
  return `job-${env['GITHUB_RUN_ID'] ?? '0'}-${env['GITHUB_JOB'] ?? 'local'}-${runner.slice(0, 12)}`;
}
