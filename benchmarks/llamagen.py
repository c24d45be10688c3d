"""Drawing tokens, against transformers' LlamaForCausalLM of equal size -> docs/benchmarks/llamagen.*

python benchmarks/llamagen.py [--quick] [--threads 2]

Needs transformers: pip install -e '.[bench]'
"""

import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import measure
import torch
from torch import Tensor

from medsynth.draws import row_draws
from medsynth.generators.llamagen.choice import drawn
from medsynth.generators.llamagen.decoding import Decoder
from medsynth.generators.llamagen.transformer import SHAPES, Transformer
from medsynth.sampling import Arithmetic, Sampling

SIZE, GRID, VOCABULARY = "b", (32, 32), 16_384
TOKENS = GRID[0] * GRID[1]
POSITIONS = (1, 256, 512, 768, 1016)  # whose steps are timed
SAMPLING = Sampling(guidance=2.0)
PAIRS: tuple[tuple[Arithmetic, torch.dtype], ...] = (("exact", torch.float32), ("int8", torch.bfloat16))
NAME = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

TEXT = f"""# LlamaGen against transformers

GPT-B, images of {TOKENS} tokens of {VOCABULARY}, guidance {SAMPLING.guidance:g}: seconds a batch from the first token
to the last, and how many times as fast as LlamaForCausalLM of equal size, which keeps its keys and values in its
DynamicCache and is given the same mixture of rows with and without labels. Steps of both are timed in turns at the
positions {", ".join(map(str, POSITIONS))}; a whole image is what lies under the line through their medians, and in
brackets is the same of the lowest and highest ratio of a round. Bound: weights, keys and values, each read once a step
at the speed at which this machine reads memory; share: how much of the time that explains.
"""

CHECK = """
One image drawn from beginning to end, float32: {theirs:.0f} s theirs, {ours:.0f} s ours. Memory is read at {speed:.1f}
GB/s.
"""

Step = Callable[[], object]


def main() -> None:
    asked = measure.options(__doc__, quick="three rounds, batch 1, nothing kept")
    torch.manual_seed(0)
    speed = read_speed()
    ours, facts, rows, check = transformer(), [], [], {}
    with torch.no_grad():
        for arithmetic, dtype in PAIRS:
            decoder, theirs = Decoder(ours, arithmetic), peer(dtype)
            for batch in (1,) if asked.quick else (1, 8):
                found = compared(decoder, theirs, batch, 3 if asked.quick else 7)
                bound = sum(bytes_read(arithmetic, batch, position) for position in range(TOKENS)) / speed
                found |= {"arithmetic": arithmetic, "theirs": NAME[dtype], "batch": batch, "bound_seconds": bound}
                facts.append(found)
                rows.append(row_of(found))
                print(rows[-1], file=sys.stderr, flush=True)
            if arithmetic == "exact" and not asked.quick:
                check = {
                    side: measure.timed(partial(whole, by)) for side, by in (("theirs", theirs), ("ours", decoder))
                }
    text = TEXT + CHECK.format(**check, speed=speed / 1e9) if check else TEXT
    measure.write("llamagen", text, rows, {"read_bytes_per_second": speed, "whole_image": check, "compared": facts})


def compared(decoder: Decoder, theirs: Any, batch: int, rounds: int) -> dict[str, Any]:
    """Seconds of a batch of images on both sides, and each step that was timed."""
    steps = {}
    for position in POSITIONS:
        a, b = their_step(theirs, batch, position), our_step(decoder, batch, position)
        steps[position] = measure.interleaved(a, b, rounds)
    sides = [
        under({position: getattr(step, side) for position, step in steps.items()})
        for side in ("a_seconds", "b_seconds")
    ]  # fmt: skip
    spread = [
        sides[0] / under({position: step.a_seconds / getattr(step, end) for position, step in steps.items()})
        for end in ("lowest", "highest")
    ]
    return {
        "their_seconds": sides[0], "our_seconds": sides[1], "ratio": sides[0] / sides[1],
        "lowest": spread[0], "highest": spread[1],
        "steps": {position: step.facts() for position, step in steps.items()},
    }  # fmt: skip


def row_of(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "medsynth": found["arithmetic"],
        "transformers": found["theirs"],
        "images": found["batch"],
        "their seconds": f"{found['their_seconds']:.1f}",
        "our seconds": f"{found['our_seconds']:.1f}",
        "ratio": f"{found['ratio']:.2f} ({found['lowest']:.2f} to {found['highest']:.2f})",
        "bound": f"{found['bound_seconds']:.1f}",
        "share": f"{found['bound_seconds'] / found['our_seconds']:.0%}",
    }


def under(seconds: dict[int, float]) -> float:
    """The area under the line through seconds at some positions, level before the first and after the last."""
    places = [0, *seconds, TOKENS]
    values = [seconds[min(seconds)], *seconds.values(), seconds[max(seconds)]]
    return sum((b - a) * (x + y) / 2 for (a, b), (x, y) in zip(pairwise(places), pairwise(values), strict=True))


def transformer() -> Transformer:
    made = Transformer(SHAPES[SIZE], GRID, VOCABULARY)
    torch.nn.init.normal_(made.head.weight, std=0.02)
    return made


def our_step(decoder: Decoder, batch: int, position: int) -> Step:
    """One token of each image: guidance, choice and all."""
    e, draws = torch.randn(2 * batch, decoder.shape.width), row_draws([*range(batch)])
    cache = decoder.cache(len(e)).normal_()

    def step() -> Tensor:
        with_labels, without_labels = decoder.step(e, position, cache).chunk(2)
        logits = decoder.head(without_labels.lerp(with_labels, SAMPLING.guidance))
        return decoder.transformer.tokens(drawn(logits, draws.exponential(VOCABULARY), SAMPLING)).repeat(2, 1)

    return step


def peer(dtype: torch.dtype) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = SHAPES[SIZE]
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=shape.width, intermediate_size=shape.hidden,
        num_hidden_layers=shape.depth, num_attention_heads=shape.heads, max_position_embeddings=TOKENS + 1,
        tie_word_embeddings=False, attn_implementation="sdpa",
    )  # fmt: skip
    return LlamaForCausalLM(config).to(dtype).eval()


def their_step(theirs: Any, batch: int, position: int) -> Step:
    """The same; what came before is put into a new cache, which is no work worth mentioning."""
    from transformers import DynamicCache

    shape, token = SHAPES[SIZE], torch.zeros(2 * batch, 1, dtype=torch.int64)
    size = (2, 2 * batch, shape.heads, position, shape.width // shape.heads)
    past = [torch.randn(size).to(theirs.dtype).unbind() for _ in range(shape.depth)]

    def step() -> Tensor:
        return next_token(theirs, token, DynamicCache(past))

    return step


def next_token(theirs: Any, token: Tensor, cache: Any) -> Tensor:
    """Guidance on logits, and torch's own draw. token (rows with labels, then the same without, 1)."""
    logits = theirs(input_ids=token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].float()
    with_labels, without_labels = logits.chunk(2)
    mixed = without_labels + SAMPLING.guidance * (with_labels - without_labels)
    return torch.multinomial(mixed.softmax(dim=1), 1).repeat(2, 1)


def whole(side: Any) -> object:
    """One image from the first token to the last."""
    if isinstance(side, Decoder):
        return side.draw(torch.randn(1, side.shape.width), torch.randn(side.shape.width), row_draws([0]), SAMPLING)
    from transformers import DynamicCache

    cache, token = DynamicCache(), torch.zeros(2, 1, dtype=torch.int64)
    for _ in range(TOKENS):
        token = next_token(side, token, cache)
    return token


def bytes_read(arithmetic: Arithmetic, batch: int, position: int) -> int:
    """Weights once, and the keys and values of all tokens so far of 2 * batch rows."""
    shape = SHAPES[SIZE]
    block = 4 * shape.width**2 + 3 * shape.width * shape.hidden
    weights = (shape.depth * block + VOCABULARY * shape.width) * (1 if arithmetic == "int8" else 4)
    return weights + 2 * batch * 2 * 4 * shape.depth * shape.width * (position + 1)


def read_speed() -> float:
    """Bytes a second that a sum over far more memory than any cache holds goes through."""
    much = torch.ones(2**27)
    return much.nbytes / min(measure.timed(much.sum) for _ in range(7))


if __name__ == "__main__":
    main()
