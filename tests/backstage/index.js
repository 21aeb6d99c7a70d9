// The smallest backend that has the catalog, the scaffolder and permissions, from Backstage's own packages.
const { createBackend } = require('@backstage/backend-defaults');

const backend = createBackend();
backend.add(require('@backstage/plugin-catalog-backend'));
backend.add(require('@backstage/plugin-catalog-backend-module-scaffolder-entity-model'));
backend.add(require('@backstage/plugin-permission-backend'));
backend.add(require('@backstage/plugin-permission-backend-module-allow-all-policy'));
backend.add(require('@backstage/plugin-proxy-backend'));
backend.add(require('@backstage/plugin-scaffolder-backend'));
backend.add(require('@roadiehq/scaffolder-backend-module-http-request'));
backend.start();
