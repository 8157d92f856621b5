import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

// What the files of src may import, as paths inside src. __tests__/unit/architecture.test.ts checks the same on the
// real import graph. Every file belongs to exactly one layer: a second matching one would replace the first one's rules.
const base = [
  'errors.ts',
  'aftermath.ts',
  'log.ts',
  'clock.ts',
  'docker-config.ts',
  'format.ts',
  'json.ts',
  'paths.ts',
  'registry-login.ts',
  'job-scope.ts',
  'process-identity.ts',
  'scratch.ts',
  'version.ts',
];
const snapshot = ['snapshot/.+'];
/** What folders show to others: interfaces, and what is written against nothing else. */
const interfaces = [
  'engines/engine.ts',
  'runtime/(runtime|volume-copier|volume-cloner|plain-archiver|fresh|health|host-folder|idle-container|labels|script|small-tar|staging).ts',
  'stores/(store|location).ts',
];
const edge = [
  ...base,
  ...snapshot,
  ...interfaces,
  'settings.ts',
  'store-settings.ts',
  'volume-settings.ts',
  'compose.ts',
  'usecases/.+',
];

const layers = [
  {
    files: base.map((file) => `src/${file}`),
    may: base,
    why: 'These files stand below everything else.',
  },
  {
    files: ['src/snapshot/**'],
    may: base,
    packages: ['valibot'],
    why: 'A snapshot is plain data: it knows no container, store or engine.',
  },
  {
    files: ['src/engines/**'],
    may: [...base, ...snapshot, ...interfaces],
    why: 'Engines are data: they see the other folders through their interfaces.',
  },
  {
    files: ['src/runtime/**'],
    ignores: ['src/runtime/docker*'],
    may: [...base, ...snapshot],
    why: 'runtime/ knows containers and volumes, not stores, engines or use cases.',
  },
  {
    files: ['src/runtime/docker*'],
    may: [...base, ...snapshot],
    packages: ['dockerode', 'docker-modem'],
    why: 'runtime/ knows containers and volumes, not stores, engines or use cases.',
  },
  {
    files: ['src/stores/age*'],
    may: [...base, ...snapshot],
    packages: ['age-encryption'],
    why: 'stores/ carry bundles: they know nothing of containers, engines or use cases.',
  },
  {
    files: ['src/stores/**'],
    ignores: ['src/stores/{actions-cache,artifact,age}*'],
    may: [...base, ...snapshot],
    why: 'stores/ carry bundles: they know nothing of containers, engines or use cases.',
  },
  {
    files: ['src/stores/{actions-cache,artifact}*'],
    may: [...base, ...snapshot],
    packages: ['@actions/[^/]+'],
    why: 'stores/ carry bundles: they know nothing of containers, engines or use cases.',
  },
  {
    files: ['src/{settings,setting-values,settings-reader,store-settings,volume-settings}.ts'],
    may: [
      ...base,
      ...snapshot,
      ...interfaces,
      'engines/index.ts',
      '(settings|setting-values|settings-reader|store-settings).ts',
    ],
    why: 'Settings are plain data: the table of engines is the most they know.',
  },
  {
    files: ['src/usecases/**'],
    may: [...base, ...snapshot, ...interfaces, 'settings.ts'],
    why: 'Use cases know interfaces; compose.ts hands them the implementations.',
  },
  {
    files: ['src/compose.ts'],
    may: ['(?!action/|cli/|index\\.ts|bundle\\.ts).+'],
    why: 'compose.ts puts implementations together for the edges; it does not know the edges.',
  },
  {
    files: ['src/action/**'],
    may: edge,
    packages: ['@actions/[^/]+'],
    why: 'The edges get implementations from compose.ts only.',
  },
  {
    files: ['src/cli/**'],
    may: [...edge, 'setting-values.ts'],
    why: 'The edges get implementations from compose.ts only.',
  },
  {
    files: ['src/index.ts'],
    may: edge,
    why: 'The edges get implementations from compose.ts only.',
  },
  {
    files: ['src/bundle.ts'],
    may: [
      'index.ts',
      'action/(entry|save|restore|reset|upload).ts',
      'cli/main.ts',
      'runtime/tar-sieve-program.ts',
    ],
    why: 'bundle.ts only joins the entries.',
  },
];

/** Packages that belong to some layers only. */
const guarded = {
  '@actions/[^/]+': 'Only action/ and the two stores of GitHub Actions use @actions/*.',
  dockerode: 'Only runtime/docker* talks to the container engine.',
  'docker-modem': 'Only runtime/docker* talks to the container engine.',
  'age-encryption': 'Only stores/age* encrypt and decrypt.',
  valibot: 'Only snapshot/ parses data from outside.',
};

/** The import rules of one layer; `import()` is not covered by no-restricted-imports, hence the selectors. */
function layerRules({ files, ignores = [], may, packages = [], why }) {
  const inFolder = !files[0].endsWith('.ts');
  const allowed = may.map((path) => path.replace(/\.ts$/, '\\.ts')).join('|');
  // A file of a folder may import its neighbours, and what is allowed one level up.
  const path = inFolder ? `\\./|\\.\\./(?:${allowed})$` : `\\./(?:${allowed})$`;
  const refused = [
    { regex: `^(?!${path})\\.`, message: why },
    { regex: '^\\.\\.?/(?:.*/)?\\.\\.?/', message: 'Import the file by its shortest path.' },
    { regex: '^(node:)?process$', message: 'Use the global `process`, which other rules watch.' },
    ...Object.entries(guarded)
      .filter(([name]) => !packages.includes(name))
      .map(([name, message]) => ({ regex: `^${name}(/|$)`, message })),
  ];
  const dynamic = refused.map(({ regex, message }) => ({
    selector: `ImportExpression[source.value=/${regex.replaceAll('/', '\\u002F')}/]`,
    message,
  }));
  return {
    files,
    ignores,
    rules: {
      'no-restricted-imports': ['error', { patterns: refused }],
      'no-restricted-syntax': [
        'error',
        ...dynamic,
        {
          selector: 'ImportExpression[source.type!="Literal"]',
          message: 'Import a file by its name.',
        },
      ],
    },
  };
}

const jsonProperty = {
  object: 'JSON',
  property: 'parse',
  message: 'Use parseJson of json.ts: broken JSON from outside is no bug.',
};
const processProperty = (property, message) => ({ object: 'process', property, message });

export default defineConfig(
  globalIgnores(['dist/', 'lib/', '.work/', 'coverage/', 'node_modules/']),
  js.configs.recommended,
  {
    files: ['**/*.{cjs,mjs}'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          'AbortController',
          'Buffer',
          'URL',
          'console',
          'fetch',
          'performance',
          'process',
          'setTimeout',
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: ['stubs/**/*.js'],
    languageOptions: { sourceType: 'commonjs' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/return-await': ['error', 'in-try-catch'],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'no-console': 'error',
    },
  },
  {
    files: ['src/cli/**', 'bench/**', 'script/**'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/action/**', 'src/cli/**', 'src/bundle.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        jsonProperty,
        processProperty('env', 'Only action/ and cli/ read the environment: pass the value in.'),
        processProperty('exit', 'Only action/ and cli/ end the process.'),
        processProperty('exitCode', 'Only action/ and cli/ set the exit code.'),
      ],
    },
  },
  {
    files: ['src/action/**', 'src/cli/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        jsonProperty,
        {
          object: 'core',
          property: 'setOutput',
          message: 'Use setOutput of report.ts, which tells what is wrong with the file.',
        },
      ],
    },
  },
  {
    files: ['src/json.ts', 'src/action/report.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  layers.map(layerRules),
);
