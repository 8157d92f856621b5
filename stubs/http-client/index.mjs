// Stands in for the HTTP client that @actions/core loads for OpenID tokens only. See CONTRIBUTING.md.
class Missing {
  constructor() {
    throw new Error('this build of @actions/core cannot ask for OpenID tokens');
  }
}

export { Missing as HttpClient, Missing as BearerCredentialHandler };
