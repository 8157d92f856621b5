// The entry of the bundle: what the small files in dist/ call. It is read on every start, so that each part,
// the library included, is loaded only when it is needed.

/** Everything that the package exports. */
export async function loadLibrary() {
  return import('./index.ts');
}

/** Runs a sub-action. */
export async function runSubAction(name: 'save' | 'restore' | 'reset'): Promise<void> {
  if (name === 'save') return (await import('./action/save.ts')).saveAction();
  if (name === 'restore') return (await import('./action/restore.ts')).restoreAction();
  return (await import('./action/reset.ts')).resetAction();
}

/** Runs one phase of the action. */
export async function runAction(phase: 'main' | 'post'): Promise<void> {
  const entry = await import('./action/entry.ts');
  await entry[phase]();
}

/** Runs the program that looks at tar streams, with the descriptors of this process. */
export async function runTarSieve(): Promise<void> {
  await import('./runtime/tar-sieve-program.ts');
}

/** Runs the process that uploads when the main phase of the action has ended. */
export async function runUpload(): Promise<void> {
  await (await import('./action/upload.ts')).upload();
}

/** Runs the command-line tool with the arguments of this process. */
export async function runCli(): Promise<void> {
  const { main } = await import('./cli/main.ts');
  process.exitCode = await main(process.argv.slice(2));
  // A client of GitHub that was given up goes on for minutes, and nothing else ends it. All has been written by then.
  process.stdout.write('', () => process.exit());
}
