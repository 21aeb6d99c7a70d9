"""Composition root: registers every Blueprint of the triggers, orchestrators and activities."""

import importlib
import pkgutil

import azure.durable_functions as df
import azure.functions as func

import activities
import orchestrators
import triggers

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

# A Blueprint that several modules share is complete only when all of them are imported.
_modules = [
    importlib.import_module(found.name)
    for package in (activities, orchestrators, triggers)
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]
for blueprint in {
    id(module.blueprint): module.blueprint for module in _modules if hasattr(module, "blueprint")
}.values():
    app.register_functions(blueprint)
