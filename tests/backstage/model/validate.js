// Entities (JSON, an array) on standard input; what Backstage's own model has against each (JSON) on standard output.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');

const load = createRequire(`${process.argv[2]}/`);
const model = load('@backstage/catalog-model');
const { templateEntityV1beta3Validator } = load('@backstage/plugin-scaffolder-common');

const policies = [
  new model.DefaultNamespaceEntityPolicy(),
  new model.SchemaValidEntityPolicy(),
  new model.NoForeignRootFieldsEntityPolicy(),
  new model.FieldFormatEntityPolicy(),
];
const kinds = {
  API: model.apiEntityV1alpha1Validator,
  Component: model.componentEntityV1alpha1Validator,
  Resource: model.resourceEntityV1alpha1Validator,
  System: model.systemEntityV1alpha1Validator,
  Template: templateEntityV1beta3Validator,
};

async function flaw(entity) {
  try {
    for (const policy of policies) {
      entity = await policy.enforce(entity);
    }
    return (await kinds[entity.kind].check(entity)) ? '' : `${entity.kind} is not one by its apiVersion`;
  } catch (error) {
    return String(error.message);
  }
}

Promise.all(JSON.parse(readFileSync(0, 'utf8')).map(flaw)).then(found => process.stdout.write(JSON.stringify(found)));
