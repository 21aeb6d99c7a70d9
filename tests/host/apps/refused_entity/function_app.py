# mypy: ignore-errors

import azure.durable_functions as df

app = df.DFApp()


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    pass
