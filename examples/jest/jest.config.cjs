module.exports = {
  maxWorkers: 4, // as many as there are databases
  setupFiles: ['<rootDir>/worker-database.cjs'],
};
