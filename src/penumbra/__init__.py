"""Feature store and model registry for survival prediction from radiotherapy planning CT."""
