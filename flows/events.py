"""What the watch tells a Prefect server: centers that arrived, and runs whose worker died."""

from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.states import Crashed

ARRIVED = "penumbra.center.arrived"
SIGNAL = "penumbra.center.signal"
FLOWS = ["retrain", "retrain-waiting"]


def center_arrived(center: str) -> None:
    """The event on which the automation of infra/prefect.yaml starts a retraining."""
    emit_event(event=ARRIVED, resource={"prefect.resource.id": f"penumbra.center.{center}", "prefect.resource.name": center}, payload={"center": center})


def live_signal(center: str, words: str) -> None:
    """The event of a center where the champion's live patients die otherwise than it expected; the center waits for a retraining from then on."""
    resource = {"prefect.resource.id": f"penumbra.center.{center}", "prefect.resource.name": center}
    emit_event(event=SIGNAL, resource=resource, payload={"center": center, "signal": words})


def close_abandoned(older_s: float) -> int:
    """Mark as crashed the retrainings that are shown as running since more than `older_s` seconds; to be called when no process holds the state folder's lock.

    A worker that was killed cannot say so; its run would be shown as running forever and keep its place in the concurrency limit.
    """
    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])))
    before = datetime.now(UTC) - timedelta(seconds=older_s)
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=FLOWS)), flow_run_filter=running)
        dead = [run for run in runs if run.state is not None and run.state.timestamp < before]
        for run in dead:
            client.set_flow_run_state(run.id, Crashed(message="its worker died: no process holds the lock of the state folder"), force=True)
    return len(dead)
