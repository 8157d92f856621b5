// Four projects, from quick to real: `unit` needs nothing, `contract`, `killed` and `e2e` need a container
// engine and the images of script/test-images. A fifth, `official`, needs a registry: it is there
// only for who asks for it by name (--selectProjects official).
const shared = {
  extensionsToTreatAsEsm: ['.ts'],
  testEnvironment: 'node',
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } } }],
  },
};

const project = (name, extra) => ({
  ...shared,
  displayName: name,
  testMatch: [`<rootDir>/__tests__/${name}/**/*.test.ts`],
  ...extra,
});

export default {
  testTimeout: 180_000,
  projects: [
    ...['unit', 'contract', 'killed', 'e2e'],
    ...process.argv.filter((argument) => argument === 'official'),
  ].map((name) => project(name)),
};
