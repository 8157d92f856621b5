// Runs the command-line tool from its sources, for where dist/ has not been built.
import { main } from '../../src/cli/main.ts';

process.exitCode = await main(process.argv.slice(2));
