"""The vocabulary of tensors. Public signatures use these names; layout, range and units are said here.

Images    pixels in [-1, 1]; 1 channel (grey) or 3 (RGB), and one more, the last, where masks are learnt: -1 or 1
Latents   about zero mean and unit deviation in every channel, whatever codec made them
Tokens    indices into a codec's codebook, whole numbers from 0; what a discrete codec has for latents
Posterior a codec's raw answer for one image: means, then log-variances, in the codec's own scale; or tokens
Labels    0 or 1 for each label of the cohort; several may be 1, none may be 1
Masks     1 where a pixel belongs to what is looked for, 0 elsewhere
Loss      one number
"""

from typing import Annotated

from torch import Tensor

Images = Annotated[Tensor, "batch channel row column"]
Latents = Annotated[Tensor, "batch channel row column"]
Tokens = Annotated[Tensor, "batch row column"]
Posterior = Annotated[Tensor, "batch 2*channel row column"]
Labels = Annotated[Tensor, "batch label"]
Masks = Annotated[Tensor, "batch 1 row column"]
Loss = Annotated[Tensor, ""]
