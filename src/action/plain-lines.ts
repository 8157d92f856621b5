export type PlainLines = (written: string) => string;

/**
 * Makes text of what is written for a runner: commands lose their marks, secrets are covered from the time on when they
 * were masked, and the commands that mask them are left out, as those are that only a runner needs.
 */
export function plainLines(): PlainLines {
  const secrets = new Set<string>();
  return (written) => {
    const lines: string[] = [];
    for (const line of written.split('\n')) {
      const [, command, data = ''] = /^::([a-z-]+)(?: [^:]*)?::(.*)$/.exec(line) ?? [];
      if (command === 'add-mask') for (const secret of maskedBy(data)) secrets.add(secret);
      else if (command === undefined) lines.push(line);
      else if (command !== 'debug' && command !== 'endgroup') lines.push(decoded(data));
    }
    const longestFirst = [...secrets].sort((a, b) => b.length - a.length);
    return longestFirst.reduce((text, secret) => text.replaceAll(secret, '***'), lines.join('\n'));
  };
}

/** A secret of several lines, and each of them, as for the runner. */
function maskedBy(data: string): string[] {
  const secret = decoded(data);
  return [secret, ...secret.split(/\r?\n/)].filter((each) => each.trim() !== '');
}

function decoded(data: string): string {
  return data.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}
