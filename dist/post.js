// The action's post phase. The code is in bundle.js.
import { runAction } from './bundle.js';
await runAction('post');
