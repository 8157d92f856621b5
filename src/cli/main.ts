import { AppError, systemCodeOf, systemError, toAppError } from '../errors.ts';
import { version } from '../version.ts';
import { parseArguments, type Invocation } from './args.ts';
import { withoutStdout } from './divert.ts';
import { exitCodes } from './exit-codes.ts';
import { commandHelp, generalHelp } from './help.ts';
import { createTerminalLog, type TerminalLog, type Verbosity } from './log.ts';
import { errorView, toJson } from './output.ts';
import { readSurroundings } from './surroundings.ts';

/**
 * Runs one command and resolves with the exit code. The only try/catch of the tool. SIGINT and SIGTERM cancel: what
 * the command made is removed first. A second one ends the process at once. They are heard until the process has ended:
 * one that comes when all is done does not make it look as if it were not.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  const cancel = (): void => {
    if (controller.signal.aborted) process.exit(exitCodes.cancelled);
    controller.abort();
  };
  process.on('SIGINT', cancel).on('SIGTERM', cancel);
  // Whoever reads the output may have seen enough of it (`snapvol list | head`): that ends no work in the middle.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  // Until the arguments are understood, they are only looked at for how to show that they are wrong.
  let json = argv.includes('--json');
  let log = createTerminalLog(process.stderr, 'normal');
  try {
    const invocation = parseArguments(argv);
    if (invocation.kind === 'command') {
      json = invocation.given.values['json'] === 'true';
      log = createTerminalLog(process.stderr, verbosityOf(invocation.given.values));
    }
    const { text, exitCode } = await outputOf(invocation, json, log, controller.signal);
    log.close();
    // Nothing after an archive that went to stdout.
    if (text !== '') await print(text.endsWith('\n') ? text : `${text}\n`);
    return exitCode;
  } catch (thrown) {
    const error = controller.signal.aborted
      ? new AppError('cancelled', 'cancelled', { cause: thrown })
      : toAppError(thrown);
    const document = (): string => `${toJson(errorView(error, (text) => log.redact(text)))}\n`;
    const isTold =
      json &&
      (await print(document()).then(
        () => true,
        () => false,
      ));
    if (!isTold) log.error(error);
    return exitCodes[error.code];
  } finally {
    log.close();
  }
}

/** @throws what the system has against it, such as a full disk: a result that is lost is no success */
async function print(text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (!error || systemCodeOf(error) === 'EPIPE') resolve();
      else reject(systemError(error, 'write the result to stdout') ?? error);
    });
  });
}

async function outputOf(
  invocation: Invocation,
  json: boolean,
  log: TerminalLog,
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly exitCode: number }> {
  switch (invocation.kind) {
    case 'version':
      return { text: version, exitCode: 0 };
    case 'help': {
      const { command } = invocation;
      return { text: command ? commandHelp(command) : generalHelp(), exitCode: 0 };
    }
    case 'command': {
      // Help, and what is wrong with the arguments, need none of it.
      const { runs } = await import('./run.ts');
      const run = runs[invocation.command.name];
      const { given } = invocation;
      const view = await withoutStdout((result) =>
        run(given, readSurroundings(log, result, given.values['identity']), signal),
      );
      const exitCode = view.failure ? exitCodes[view.failure] : 0;
      return { text: json ? toJson(view.json) : view.text, exitCode };
    }
  }
}

function verbosityOf(values: Readonly<Record<string, string>>): Verbosity {
  if (values['verbose'] === 'true') return 'verbose';
  return values['quiet'] === 'true' ? 'quiet' : 'normal';
}
