/** One line of a step's output that the runner acts on: `::name key=value::message`. */
export interface Command {
  readonly name: string;
  readonly message: string;
}

/** `undefined` for a line that is only text. https://docs.github.com/actions/reference/workflow-commands */
export function parseCommand(line: string): Command | undefined {
  const match = /^::([a-z-]+)(?: [^:]*)?::(.*)$/.exec(line);
  if (!match) return undefined;
  const [, name = '', data = ''] = match;
  const message = data.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
  return { name, message };
}

/**
 * The values in a file of GITHUB_OUTPUT or GITHUB_STATE: `name<<mark`, the lines of the value, `mark`. The later one of
 * a name wins.
 */
export function parseValues(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (line === '') continue;
    const match = /^([^=<]+)<<(.+)$/.exec(line);
    const end = match ? lines.indexOf(match[2] ?? '', at + 1) : -1;
    if (end < 0) throw new Error(`the runner would not understand this line: ${line}`);
    values[match?.[1] ?? ''] = lines.slice(at + 1, end).join('\n');
    at = end;
  }
  return values;
}

/** What a step printed, as the runner reads it. */
export class StepLog {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly masks: string[] = [];

  /** The lines that people see: with masked values covered, from the time on when they were masked. */
  get text(): string {
    return this.lines.join('\n');
  }

  add(raw: string): void {
    const command = parseCommand(raw);
    if (command?.name === 'add-mask') {
      this.masks.push(command.message);
      return;
    }
    if (command?.name === 'error') this.errors.push(this.#covered(command.message));
    if (command?.name === 'warning') this.warnings.push(this.#covered(command.message));
    this.lines.push(this.#covered(raw));
  }

  #covered(line: string): string {
    return this.masks.reduce((text, mask) => text.replaceAll(mask, '***'), line);
  }
}
