/**
 * For NODE_OPTIONS. The clients of GitHub's services pause for seconds between their tries: a hundredth of that is enough
 * in a test.
 */
export const shortPauses = `--import data:text/javascript,${encodeURIComponent(`
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (then, ms = 0, ...args) => setTimeout(then, ms / 100, ...args);
`)}`;
