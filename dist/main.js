// The action's main phase. The code is in bundle.js.
import { runAction } from './bundle.js';
await runAction('main');
