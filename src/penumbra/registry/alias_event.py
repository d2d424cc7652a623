"""An alias that moves, and MLflow's webhooks that hear of it."""

from typing import TYPE_CHECKING

from penumbra.registry import remote

if TYPE_CHECKING:
    from mlflow import MlflowClient


def move_alias(mlflow_client: "MlflowClient", model: str, alias: str, version: int) -> None:
    """Point an alias to a version, and let MLflow's webhooks know.

    A server delivers them itself. Without one MLflow's client writes into the database and tells nobody, so what a server would send is sent here; one that
    cannot be delivered is MLflow's to log, and changes nothing about the alias.
    """
    mlflow_client.set_registered_model_alias(model, alias, str(version))
    if remote.server():
        return
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
    from mlflow.webhooks.delivery import deliver_webhook
    from mlflow.webhooks.types import ModelVersionAliasCreatedPayload

    deliver_webhook(
        event=WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED),
        payload=ModelVersionAliasCreatedPayload(name=model, alias=alias, version=str(version)),
        store=mlflow_client._get_registry_client().store,
    )
