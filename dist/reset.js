// The sub-action reset/. The code is in bundle.js, which older versions of Node.js cannot read.
if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(`snapvol needs Node.js 24 or newer, this is ${process.version}`);
  process.exit(2);
}
const { runSubAction } = await import('./bundle.js');
await runSubAction('reset');
