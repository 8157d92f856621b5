/**
 * Makes text of what is written for a runner: commands lose their marks, secrets are covered from the time on when they
 * were masked, and the commands that mask them are left out, as those are that only a runner needs.
 */
export function plainLines(): (written: string) => string {
  const secrets = new Set<string>();
  return (written) => {
    const lines: string[] = [];
    for (const line of written.split('\n')) {
      const [, command, data = ''] = /^::([a-z-]+)(?: [^:]*)?::(.*)$/.exec(line) ?? [];
      if (command === 'add-mask') secrets.add(decoded(data));
      else if (command === undefined) lines.push(line);
      else if (command !== 'debug' && command !== 'endgroup') lines.push(decoded(data));
    }
    return [...secrets].reduce((text, secret) => text.replaceAll(secret, '***'), lines.join('\n'));
  };
}

function decoded(data: string): string {
  return data.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}
