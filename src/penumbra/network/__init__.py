"""3D-SE-ResNet: inputs, augmentation, training and deep features. Imports alone, with numpy, jax, flax and optax."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.network.ahead import begin_compiling as begin_compiling
    from penumbra.network.ahead import compiling_ahead as compiling_ahead
    from penumbra.network.ahead import end_compiling as end_compiling
    from penumbra.network.attribution import occlusion as occlusion
    from penumbra.network.compilation import keep_compiled as keep_compiled
    from penumbra.network.ensemble import Ensemble as Ensemble
    from penumbra.network.ensemble import any_needs_redraw as any_needs_redraw
    from penumbra.network.ensemble import digest as digest
    from penumbra.network.ensemble import embed as embed
    from penumbra.network.ensemble import embed_each as embed_each
    from penumbra.network.ensemble import fit_ensemble as fit_ensemble
    from penumbra.network.ensemble import load as load
    from penumbra.network.ensemble import released as released
    from penumbra.network.ensemble import save as save
    from penumbra.network.ensemble import untrained as untrained
    from penumbra.network.inputs import back_to_box as back_to_box
    from penumbra.network.inputs import prepare as prepare
    from penumbra.network.se_resnet import SEResNet3D as SEResNet3D
    from penumbra.network.se_resnet import is_wide as is_wide
    from penumbra.network.self_supervised import pretrain as pretrain
    from penumbra.network.settings import Augment as Augment
    from penumbra.network.settings import EnsembleSettings as EnsembleSettings
    from penumbra.network.settings import Learning as Learning
    from penumbra.network.settings import Network as Network
    from penumbra.network.settings import Pretrain as Pretrain
    from penumbra.network.settings import Train as Train
    from penumbra.network.train import fit as fit
    from penumbra.network.trained import Epoch as Epoch
    from penumbra.network.trained import Trained as Trained

_HOME = {
    "Augment": "settings",
    "Ensemble": "ensemble",
    "EnsembleSettings": "settings",
    "Epoch": "trained",
    "Learning": "settings",
    "Network": "settings",
    "Pretrain": "settings",
    "SEResNet3D": "se_resnet",
    "Train": "settings",
    "Trained": "trained",
    "back_to_box": "inputs",
    "begin_compiling": "ahead",
    "compiling_ahead": "ahead",
    "digest": "ensemble",
    "any_needs_redraw": "ensemble",
    "embed": "ensemble",
    "end_compiling": "ahead",
    "embed_each": "ensemble",
    "fit": "train",
    "fit_ensemble": "ensemble",
    "is_wide": "se_resnet",
    "keep_compiled": "compilation",
    "load": "ensemble",
    "occlusion": "attribution",
    "prepare": "inputs",
    "pretrain": "self_supervised",
    "released": "ensemble",
    "save": "ensemble",
    "untrained": "ensemble",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for, so that importing the package imports no jax."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
