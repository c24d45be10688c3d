"""Stored grey values of a DICOM image -> uint8 as a viewer shows them (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.data.decoding import Unreadable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Grey:
    """The tables of one image.

    Where it has several windows, the first is used. Where it has none, its smallest value becomes 0 and its largest
    255, padding left aside; 8 bits that no modality changes stay as they are.
    """

    data: "Dataset"

    def shown(self, stored: np.ndarray) -> np.ndarray:
        """uint8 of the same shape, bright where the image is meant to be bright."""
        from pydicom.pixels import apply_modality_lut

        padding = self._padding(stored)
        values = np.asarray(apply_modality_lut(stored, self.data), np.float64)
        if not np.isfinite(values).all():
            raise Unreadable("its values are not finite once they are rescaled")
        grey = self._between_0_and_1(stored, values, padding)
        if self.data.PhotometricInterpretation == "MONOCHROME1":  # its smallest value is white
            grey = 1 - grey
        if padding is not None:
            grey[padding] = 0.0  # what was never measured is background
        return (grey * 255).round().astype(np.uint8)

    def _between_0_and_1(self, stored: np.ndarray, values: np.ndarray, padding: np.ndarray | None) -> np.ndarray:
        if self.data.get("VOILUTSequence"):
            return self._through_table(values)
        if self.data.get("WindowCenter") is not None and self.data.get("WindowWidth") is not None:
            return self._through_window(values)
        if stored.dtype == np.uint8 and np.array_equal(values, stored):
            return values / (2 ** int(self.data.BitsStored) - 1)
        seen = values if padding is None else values[~padding]
        low, high = (seen.min(), seen.max()) if seen.size else (0.0, 0.0)
        return (values.clip(low, high) - low) / (high - low) if high > low else np.zeros_like(values)

    def _through_window(self, x: np.ndarray) -> np.ndarray:
        """PS3.3 C.11.2.1.2 and C.11.2.1.3, with c and w for centre and width."""
        c, w = (_first(self.data.get(name)) for name in ("WindowCenter", "WindowWidth"))
        rule = str(self.data.get("VOILUTFunction") or "LINEAR")
        if not np.isfinite([c, w]).all() or w < (1 if rule == "LINEAR" else 0) or (w == 0 and rule != "LINEAR"):
            raise Unreadable("its window has no width")
        if rule == "SIGMOID":
            return 1 / (1 + np.exp((-4 * (x - c) / w).clip(-700, 700)))
        if rule == "LINEAR_EXACT":
            return ((x - c) / w + 0.5).clip(0, 1)
        if w == 1:
            return (x > c - 0.5).astype(np.float64)
        return ((x - (c - 0.5)) / (w - 1) + 0.5).clip(0, 1)

    def _through_table(self, values: np.ndarray) -> np.ndarray:
        from pydicom.pixels import apply_voi

        table = self.data.VOILUTSequence[0]
        looked_up = apply_voi(values.round().astype(np.int64), self.data).astype(np.float64)
        return (looked_up / (2 ** int(table.LUTDescriptor[2]) - 1)).clip(0, 1)

    def _padding(self, stored: np.ndarray) -> np.ndarray | None:
        """Where nothing was measured, as stored values say it (PS3.3 C.7.5.1.1.2); None where that is nowhere."""
        value = self.data.get("PixelPaddingValue")
        if value is None:
            return None
        limit = self.data.get("PixelPaddingRangeLimit")
        low, high = sorted((int(value), int(value if limit is None else limit)))
        found = (stored >= low) & (stored <= high)
        return found if found.any() else None


def _first(value: object) -> float:
    """The first of one or several decimal numbers."""
    return float(value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value)  # type: ignore
