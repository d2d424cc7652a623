"""The network's training as curves, and where it looks as a map over the CT."""

from collections.abc import Sequence

import numpy as np

from penumbra.report import ink
from penumbra.report.ink import BLUE, MUTED, VERMILION, WIDTH_IN, Rendered, render
from penumbra.report.inputs import LearningCurve, RiskMap
from penumbra.report.traces import Reading, Trace
from penumbra.report.words import count, number

TRAINING, HELD_OUT = (BLUE, "-"), (VERMILION, (0, (4, 1.5)))
MAX_OPACITY = 0.75


def curves(networks: Sequence[LearningCurve], name: str) -> Rendered:
    """Loss and C against the epoch, of every network of a version."""
    thin = len(networks) > 1
    with ink.style():
        figure = ink.sheet(WIDTH_IN, 3.6)
        above, below = figure.subplots(2, 1, sharex=True)
        for network in networks:
            epochs = np.arange(1, len(network.train_loss) + 1)
            for axes, training, held_out in ((above, network.train_loss, network.validation_loss), (below, network.train_c, network.validation_c)):
                for values, (color, dashes), label in ((training, TRAINING, "training"), (held_out, HELD_OUT, "validation")):
                    axes.plot(epochs, values, color=color, linestyle=dashes, linewidth=0.9 if thin else 1.5, alpha=0.7 if thin else 1.0, label=label)
                axes.plot(network.best_epoch, held_out[network.best_epoch - 1], "o", color=VERMILION, markersize=4)
        above.set(ylabel="loss per death")
        below.set(ylabel="Harrell's C", xlabel="epoch", xlim=(1, None))
        below.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=":")
        handles, labels = above.get_legend_handles_labels()
        above.legend(handles[:2], labels[:2], frameon=False, fontsize=8, loc="best")
        read = [
            Reading(
                axes,
                [
                    Trace(f"network {place}", VERMILION, range(1, len(held_out) + 1), held_out, [f"validation {number(value, 3)}" for value in held_out])
                    for place, held_out in enumerate(curves_of, 1)
                ],
                "epoch",
            )
            for axes, curves_of in ((above, [network.validation_loss for network in networks]), (below, [network.validation_c for network in networks]))
        ]
        best_epochs = ", ".join(str(network.best_epoch) for network in networks)
        return render(figure, name, alt=f"Training curves of {count(len(networks), 'network')}; epochs kept: {best_epochs}.", caption="", read=read)


def risk_map(each: RiskMap, window_hu: tuple[float, float], name: str) -> Rendered:
    """A CT slice under the map; the largest effect on it has full color."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    center, width = window_hu
    rows, columns = each.hu.shape
    height_mm, width_mm = rows * each.spacing_mm[0], columns * each.spacing_mm[1]
    extent = (0, width_mm, height_mm, 0)
    with ink.style():
        figure = Figure(figsize=(2.6, 2.6 * height_mm / width_mm))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(each.hu, cmap="gray", vmin=center - width / 2, vmax=center + width / 2, extent=extent, interpolation="bilinear")
        effect = np.nan_to_num(each.effect) / (each.largest or 1.0)
        colors = LinearSegmentedColormap.from_list("effect", [BLUE, "#ffffff", VERMILION])
        axes.imshow(effect, cmap=colors, vmin=-1, vmax=1, alpha=MAX_OPACITY * np.abs(effect) ** 0.5, extent=extent, interpolation="nearest")
        x = (np.arange(columns) + 0.5) * each.spacing_mm[1]
        y = (np.arange(rows) + 0.5) * each.spacing_mm[0]
        if each.gtv.any() and not each.gtv.all():
            axes.contour(x, y, each.gtv.astype(float), levels=[0.5], colors="white", linewidths=1.0)
        axes.set_xlim(0, width_mm)
        axes.set_ylim(height_mm, 0)
        return render(figure, name, alt=f"Axial CT slice of patient {each.patient}, {each.center}, colored by what raises or lowers the risk.", caption="")
