"""A LoRA on the targets of a family: it loads into the pipeline and changes what it samples."""

from __future__ import annotations

from pathlib import Path

import torch
from family_checks import FILE, Case
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from motifocal.training.finetune.adapter import original_keys


def lora_round_trip(case: Case, folder: Path) -> None:
    """A LoRA on the family's targets loads into the pipeline and changes what it samples."""
    family, pipe = case.family, case.pipe
    before = case.sample()
    (part,) = family.trained
    model = getattr(pipe, part)
    model.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=list(family.lora_targets)))
    torch.manual_seed(3)
    state = {name: torch.randn_like(value) for name, value in
             get_peft_model_state_dict(model).items()}  # fmt: skip
    assert len(state) >= 2 * len(family.lora_targets)
    model.delete_adapters("default")
    if hasattr(pipe, "load_lora_weights"):
        type(pipe).save_lora_weights(folder, **{f"{part}_lora_layers": state})
        assert torch.equal(case.sample(), before)
        pipe.load_lora_weights(folder)
    else:  # a pipeline without a loader: its transformer has one, for a file of the same names
        save_file({f"{part}.{name}": value for name, value in state.items()}, folder / FILE)
        assert torch.equal(case.sample(), before)
        model.load_lora_adapter(folder / FILE, prefix=part)
    loaded = get_peft_model_state_dict(model, adapter_name=next(iter(model.peft_config)))
    assert {name: value.tolist() for name, value in loaded.items()} == {
        name: value.tolist() for name, value in state.items()
    }
    if family.original_names:
        original = original_keys(
            {f"{part}.{name}": value for name, value in state.items()}, family.original_names, 2, 2
        )
        assert all(name.startswith("diffusion_model.") for name in original)
        pipe.unload_lora_weights()
        pipe.load_lora_weights(original)
        again = get_peft_model_state_dict(model, adapter_name=next(iter(model.peft_config)))
        assert again.keys() == state.keys()
        assert all(torch.equal(again[name], value) for name, value in state.items())
    after = case.sample()
    pipe.unload_lora_weights() if hasattr(pipe, "unload_lora_weights") else model.unload_lora()
    assert (after - before).abs().max() > 1e-3
