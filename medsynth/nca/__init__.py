"""Neural cellular automata, as a library that stands on its own: `from medsynth import nca`."""

from medsynth.nca.attention import AttentionBlock, LocalAttention
from medsynth.nca.automaton import Automaton, Dynamics, lengths, life
from medsynth.nca.cascade import Cascade, refined
from medsynth.nca.cbam import CBAM, Attentive
from medsynth.nca.damage import damaged, discs, half, regeneration
from medsynth.nca.deformable import Deformable
from medsynth.nca.layout import Layout, overflow, ramps, spread
from medsynth.nca.modulated import Modulated, ModulatedBlock
from medsynth.nca.observers import Histogram, Observer, Snapshots, Statistics
from medsynth.nca.perception import Convolution, Filters, Identity, Parallel, Perception, Residual, Sobel
from medsynth.nca.pool import Rules, Sample, SamplePool, share_at
from medsynth.nca.update import Form, Update, mlp, resnet

__all__ = [
    "CBAM",
    "AttentionBlock",
    "Attentive",
    "Automaton",
    "Cascade",
    "Convolution",
    "Deformable",
    "Dynamics",
    "Filters",
    "Form",
    "Histogram",
    "Identity",
    "Layout",
    "LocalAttention",
    "Modulated",
    "ModulatedBlock",
    "Observer",
    "Parallel",
    "Perception",
    "Residual",
    "Rules",
    "Sample",
    "SamplePool",
    "Snapshots",
    "Sobel",
    "Statistics",
    "Update",
    "damaged",
    "discs",
    "half",
    "lengths",
    "life",
    "mlp",
    "overflow",
    "ramps",
    "refined",
    "regeneration",
    "resnet",
    "share_at",
    "spread",
]
