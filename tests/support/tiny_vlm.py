"""Vision-language models of real classes with random weights, saved as model folders, in a second.

    qwen_folder(folder)        Qwen2.5-VL         intern_folder(folder)        InternVL
    smolvlm_folder(folder)     SmolVLM (2)
    llava_folder(folder)       LLaVA              llava_next_folder(folder)  LLaVA-NeXT (1.6)
                               these two need no video processor and so no torchvision

The output layer answers yes or no to everything: its other rows are zero, those of the forms of yes
and no lie near what the model's last hidden state is, so that both are always among the likeliest
tokens and depend on frames and question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

FORMS = ("yes", "Yes", " yes", " Yes", "no", "No", " no", " No")
WIDTH = 32


def tokenizer_of(special: Sequence[str], named: dict[str, str]) -> Any:
    """Bytes and the forms of yes and no as single tokens."""
    rules = Tokenizer(models.BPE())
    rules.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rules.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special))
    rules.train_from_iterator([" ".join(FORMS)] * 20 + list(FORMS) * 20, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=rules, pad_token="<pad>", eos_token="<|im_end|>",
        extra_special_tokens=named)


def template(image: str) -> str:
    """A chat template in which every image is `image`."""
    return (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for part in m['content'] %}"
        "{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def answering(model: Any, tokenizer: Any, state: torch.Tensor, forms: Sequence[str]) -> Any:
    """Make the rows of `forms` of the output layer lie near this last hidden state (D,)."""
    generator = torch.Generator().manual_seed(3)
    state = state / state.norm()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        for form in forms:
            (token,) = tokenizer(form, add_special_tokens=False)["input_ids"]
            noise = torch.randn(len(state), generator=generator)
            model.lm_head.weight[token] = 2 * state + 0.4 * noise
    return model


def qwen_folder(folder: Path, seed: int = 0) -> Path:
    """Qwen2.5-VL: two layers, width 32, patches of 14 pixels merged by 2."""
    from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as pictures

    special = ["<pad>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
               "<|image_pad|>", "<|video_pad|>"]
    tokenizer = tokenizer_of(special, {})
    ids = dict(zip(special, tokenizer.convert_tokens_to_ids(special), strict=True))
    config = transformers.Qwen2_5_VLConfig(
        text_config={"vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 48,
                     "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
                     "max_position_embeddings": 2048, "tie_word_embeddings": False,
                     "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0,
                                         "mrope_section": [2, 3, 3]}},
        vision_config={"depth": 2, "hidden_size": WIDTH, "intermediate_size": 48, "num_heads": 2,
                       "out_hidden_size": WIDTH, "fullatt_block_indexes": [1], "window_size": 56},
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"], tie_word_embeddings=False)
    torch.manual_seed(seed)
    model = transformers.Qwen2_5_VLForConditionalGeneration(config).eval()
    images = pictures.Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=28 * 28 * 4)
    return saved(folder, model, tokenizer, images, "Qwen2_5_VLProcessor",
                 template("<|vision_start|><|image_pad|><|vision_end|>"), {})


def intern_folder(folder: Path, seed: int = 1) -> Path:
    """InternVL: two layers, width 32, images of 28 pixels in four patches, one token each."""
    from transformers.models.got_ocr2 import image_processing_pil_got_ocr2 as pictures

    special = ["<pad>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>",
               "<video>"]
    tokenizer = tokenizer_of(special, {
        "start_image_token": "<img>", "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"})
    config = transformers.InternVLConfig(
        vision_config={"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2,
                       "num_attention_heads": 2, "image_size": [28, 28], "patch_size": [7, 7]},
        text_config={"model_type": "qwen2", "vocab_size": len(tokenizer), "hidden_size": WIDTH,
                     "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                     "num_key_value_heads": 2, "max_position_embeddings": 2048,
                     "tie_word_embeddings": False},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4,
        tie_word_embeddings=False)
    torch.manual_seed(seed)
    model = transformers.InternVLForConditionalGeneration(config).eval()
    images = pictures.GotOcr2ImageProcessorPil(size={"height": 28, "width": 28},
                                               crop_to_patches=False)
    return saved(folder, model, tokenizer, images, "InternVLProcessor",
                 template("<IMG_CONTEXT>"), {"image_seq_length": 4})


def smolvlm_folder(folder: Path, seed: int = 3) -> Path:
    """SmolVLM: two layers, width 32, images of 28 pixels in 16 patches, four tokens each."""
    from transformers.models.smolvlm import image_processing_pil_smolvlm as pictures

    special = ["<pad>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>",
               "<end_of_utterance>", "<global-img>"]
    tokenizer = tokenizer_of(special, {
        "fake_image_token": "<fake_token_around_image>", "image_token": "<image>",
        "end_of_utterance_token": "<end_of_utterance>", "global_image_token": "<global-img>"})
    config = transformers.SmolVLMConfig(
        vision_config={"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2,
                       "num_attention_heads": 2, "image_size": 28, "patch_size": 7},
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": WIDTH,
                     "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                     "num_key_value_heads": 2, "max_position_embeddings": 2048,
                     "tie_word_embeddings": False, "pad_token_id": 0},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), scale_factor=2,
        tie_word_embeddings=False, pad_token_id=0)
    torch.manual_seed(seed)
    model = transformers.SmolVLMForConditionalGeneration(config).eval()
    images = pictures.SmolVLMImageProcessorPil(
        size={"longest_edge": 28}, max_image_size={"longest_edge": 28}, do_image_splitting=False)
    return saved(folder, model, tokenizer, images, "SmolVLMProcessor", template("<image>"),
                 {"image_seq_len": 4})


def llava_folder(folder: Path) -> Path:
    """LLaVA: two layers, width 32, images of 28 pixels in 16 patches. It says "Yes" and "No" alone.
    """
    from transformers.models.clip import image_processing_pil_clip as pictures

    return _llava_like(folder, transformers.LlavaConfig, transformers.LlavaForConditionalGeneration,
                       pictures.CLIPImageProcessorPil, "LlavaProcessor", 2)


def llava_next_folder(folder: Path) -> Path:
    """LLaVA-NeXT: as LLaVA, but it sees an image whole and in two halves."""
    from transformers.models.llava_next import image_processing_pil_llava_next as pictures

    return _llava_like(folder, transformers.LlavaNextConfig,
                       transformers.LlavaNextForConditionalGeneration,
                       pictures.LlavaNextImageProcessorPil, "LlavaNextProcessor", 4,
                       image_grid_pinpoints=[[28, 56], [56, 28]])


def _llava_like(folder: Path, config_class: Any, model_class: Any, images_class: Any,
                processor: str, seed: int, **grid: Any) -> Path:
    special = ["<pad>", "<|im_start|>", "<|im_end|>", "<image>"]
    tokenizer = tokenizer_of(special, {"image_token": "<image>"})
    config = config_class(
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            image_size=28, patch_size=7),
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": WIDTH,
                     "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                     "num_key_value_heads": 2, "max_position_embeddings": 2048,
                     "tie_word_embeddings": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), image_seq_length=16,
        tie_word_embeddings=False, **grid)
    torch.manual_seed(seed)
    model = model_class(config).eval()
    images = images_class(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, **grid)
    return saved(folder, model, tokenizer, images, processor, template("<image>"),
                 {"patch_size": 7, "vision_feature_select_strategy": "default",
                  "num_additional_image_tokens": 1}, ("Yes", "No"))


def saved(folder: Path, model: Any, tokenizer: Any, images: Any, processor: str, chat: str,
          settings: dict[str, Any], forms: Sequence[str] = FORMS) -> Path:
    """Write a model folder as the hub has them; the output layer says one of `forms`."""
    import json

    text = tokenizer("<|im_start|>assistant\n", add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        state = model(input_ids=text["input_ids"], output_hidden_states=True).hidden_states[-1]
    answering(model, tokenizer, state[0, -1], forms)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(chat, encoding="utf-8")
    (folder / "processor_config.json").write_text(json.dumps(
        {"processor_class": processor, **settings}), encoding="utf-8")
    return folder
