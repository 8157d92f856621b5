import { execFileSync } from 'node:child_process';

/** The command for a program that only root may run; elsewhere through sudo, which must not ask for a password. */
export function rootCommand(
  program: string,
  ...args: readonly string[]
): readonly [string, string[]] {
  return process.getuid?.() === 0 ? [program, [...args]] : ['sudo', ['-n', program, ...args]];
}

/** Runs it, and fails with its own words where this environment gives no root. */
export function asRoot(program: string, ...args: readonly string[]): string {
  const [command, given] = rootCommand(program, ...args);
  try {
    return execFileSync(command, given, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string }; // as execFileSync throws it
    throw new Error(
      `this test needs root, or sudo without a password: "${program} ${args.join(' ')}" failed: ${stderr ?? ''}`,
      { cause },
    );
  }
}
