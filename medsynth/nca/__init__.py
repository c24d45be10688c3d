"""Neural cellular automata, as a library that stands on its own: `from medsynth import nca`."""

from medsynth.nca.attention import AttentionBlock, LocalAttention
from medsynth.nca.automaton import Automaton, Dynamics, lengths, life
from medsynth.nca.cbam import CBAM, Attentive
from medsynth.nca.deformable import Deformable
from medsynth.nca.layout import Layout, overflow, ramps, spread
from medsynth.nca.observers import Histogram, Observer, Snapshots, Statistics
from medsynth.nca.perception import Convolution, Filters, Identity, Parallel, Perception, Residual, Sobel
from medsynth.nca.update import MLP, Form, ResNet

__all__ = [
    "CBAM",
    "MLP",
    "AttentionBlock",
    "Attentive",
    "Automaton",
    "Convolution",
    "Deformable",
    "Dynamics",
    "Filters",
    "Form",
    "Histogram",
    "Identity",
    "Layout",
    "LocalAttention",
    "Observer",
    "Parallel",
    "Perception",
    "ResNet",
    "Residual",
    "Snapshots",
    "Sobel",
    "Statistics",
    "lengths",
    "life",
    "overflow",
    "ramps",
    "spread",
]
