"""How does a short prompt become one that a video model makes more of?"""

from typing import Any

import torch
import transformers

from tintype.gpu.memory import bytes_of, release_memory
from tintype.gpu.pipelines import load_writer
from tintype.gpu.watch import Stopped, Watch

ENHANCED_CHARACTERS_MAX = 1000
TOKENS_MAX = 256
PROMPT_CHARACTERS_MAX = 4000
INSTRUCTION = """\
You rewrite a prompt for a text-to-image and text-to-video model. Keep every subject, action,
count, name and style that it has and contradict none. Add what a camera would see: setting, light,
colours, materials, composition and, where something moves, how. Write one paragraph of 60 to 100
English words in the present tense. Answer with the paragraph alone.\
"""


class Enhancer:
    """A local instruct model that rewrites prompts. The same prompt gives the same answer."""

    def __init__(self, model: str, device: Any) -> None:
        """Load it into main memory. Raises `OperatorError` `model_unusable`."""
        self._model, self._tokenizer = load_writer(model, device)
        self._device = device
        self._is_guest = False

    @property
    def bytes(self) -> int:
        """How much memory its weights take."""
        return bytes_of(self._model)

    def settle(self, *, is_guest: bool) -> None:
        """Move to the device; as a guest, only for as long as a prompt is written."""
        self._is_guest = is_guest
        if not is_guest:
            self._model.to(self._device)

    def enhance(self, prompt: str, watch: Watch) -> str:
        """Return the prompt rewritten, at most `ENHANCED_CHARACTERS_MAX` long.

        Raises `Stopped`; `ValueError` when the model answered nothing.
        """
        if self._is_guest:
            self._model.to(self._device)
        try:
            text = self._write(prompt[:PROMPT_CHARACTERS_MAX], watch)
        finally:
            if self._is_guest:
                self._model.to("cpu")
                release_memory()
        if watch.is_stopping:
            raise Stopped
        text = "".join(one for one in " ".join(text.split()) if one.isprintable()).strip("\"' ")
        if not text:
            raise ValueError("the model wrote nothing")
        return _shortened(text)

    def _write(self, prompt: str, watch: Watch) -> str:
        inputs = self._tokenizer.apply_chat_template(
            [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        ).to(self._device)
        with torch.inference_mode():
            tokens = self._model.generate(
                **inputs,
                max_new_tokens=TOKENS_MAX,
                do_sample=False,
                stopping_criteria=transformers.StoppingCriteriaList(
                    [lambda _tokens, _scores: watch.is_stopping]
                ),
            )
        written = tokens[0, inputs["input_ids"].shape[1] :]
        return str(self._tokenizer.decode(written, skip_special_tokens=True))


def _shortened(text: str) -> str:
    """Cut at the end of a sentence, else of a word."""
    if len(text) <= ENHANCED_CHARACTERS_MAX:
        return text
    cut = text[:ENHANCED_CHARACTERS_MAX]
    for end in (". ", " "):
        place = cut.rfind(end)
        if place > ENHANCED_CHARACTERS_MAX // 2:
            return cut[: place + 1].rstrip()
    return cut
