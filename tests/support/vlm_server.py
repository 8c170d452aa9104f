"""A server on the loopback that speaks the OpenAI interface for chat completions.

    with serving(Model(folder)) as address:     a real vision-language model answers
    with serving(answering(body)) as address:   whatever a test wants to come back

The model is generated with by transformers' own `generate`, from the decoded PNG data of a request:
another way than that of the judge which loads it itself.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import transformers
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from motifocal.bench.judge.vision_language import _processor

Handler = Callable[[dict[str, Any]], Response]
ROUTE = "/v1/chat/completions"


class Model:
    """The handler of a model folder: one token, with its likeliest alternatives."""

    def __init__(self, folder: Path) -> None:
        self.processor = _processor(folder)
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(
            folder, trust_remote_code=False).eval()
        self.lock, self.requests = threading.Lock(), 0

    def __call__(self, body: dict[str, Any]) -> Response:
        parts = []
        for part in body["messages"][0]["content"]:
            if part["type"] == "text":
                parts.append(part)
                continue
            data = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
            parts.append({"type": "image", "image": Image.open(BytesIO(data))})
        with self.lock:
            self.requests += 1
            first = self._first_token(parts)
        decode = self.processor.tokenizer.decode
        top = [{"token": decode([int(token)]), "logprob": float(value)}
               for value, token in zip(*first.topk(body["top_logprobs"]), strict=True)]
        content = [{**top[0], "top_logprobs": top}]
        return JSONResponse({"choices": [{
            "finish_reason": "length", "logprobs": {"content": content},
            "message": {"role": "assistant", "content": top[0]["token"]}}]})

    @torch.inference_mode()
    def _first_token(self, parts: list[dict[str, Any]]) -> torch.Tensor:
        # A frame as one image, as the judge that loads the model does.
        whole = hasattr(self.processor.image_processor, "crop_to_patches")
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": parts}], tokenize=True, add_generation_prompt=True,
            return_dict=True, return_tensors="pt",
            processor_kwargs={"images_kwargs": {"crop_to_patches": False} if whole else {}})
        made = self.model.generate(**inputs, max_new_tokens=1, do_sample=False,
                                   output_logits=True, return_dict_in_generate=True)
        return made.logits[0][0].log_softmax(-1)


def answering(body: Any, status: int = 200, headers: dict[str, str] | None = None,
              seconds: float = 0.0) -> Handler:
    """A handler that sends `body` (JSON, or bytes as they are) after a while."""

    def handle(request: dict[str, Any]) -> Response:
        time.sleep(seconds)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Response(content, status, headers)

    return handle


def completion(content: str = "Yes", **choice: Any) -> dict[str, Any]:
    """A chat completion whose first token is `content`, with probability 0.8, "No" with 0.2."""
    top = [{"token": content, "logprob": -0.22314355}, {"token": "No", "logprob": -1.60943791}]
    return {"choices": [{"finish_reason": "stop", "message": {"content": content},
                         "logprobs": {"content": [{**top[0], "top_logprobs": top}]}, **choice}]}


@contextmanager
def serving(handler: Handler, route: str = ROUTE) -> Iterator[str]:
    """Run a server with this handler in a thread; gives the address up to /v1."""

    async def completions(request: Request) -> Response:
        body = await request.json()
        return await asyncio.to_thread(handler, body)

    app = Starlette(routes=[Route(route, completions, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None,
                                           lifespan="off", timeout_graceful_shutdown=60))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended before it had begun"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join(120)
    assert not thread.is_alive(), "the server did not end"
