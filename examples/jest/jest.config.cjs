module.exports = {
  maxWorkers: 4, // as many as there are databases
  // The second is for tests that change data.
  setupFiles: ['<rootDir>/worker-database.cjs', '<rootDir>/reset-database.cjs'],
};
