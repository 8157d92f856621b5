#!/usr/bin/env node
// The command-line tool. The code is in bundle.js.
import { runCli } from './bundle.js';
await runCli();
