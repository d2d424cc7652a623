"""When the stages run: flows of Prefect over the functions of penumbra.pipeline, without arithmetic."""
