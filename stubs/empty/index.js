'use strict'; // Stands in for packages that are loaded but never used. See CONTRIBUTING.md.
