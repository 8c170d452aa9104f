"""A study of drawn clips, opened in Chromium, becomes the pictures of the human study's pages."""

from __future__ import annotations

import io
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results, claim_results
from motifocal.media.video import write_image, write_video
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage
from motifocal.study.create.study import create_study
from motifocal.study.protocol import Protocol
from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SCENARIOS = ("duck", "balloons", "fish", "bird")
MODELS = ("ours", "without the motion focal loss", "other")
SIZE = 320
DESKTOP, PHONE = (1280, 800), (390, 844)
TOKEN = secrets.token_urlsafe(16)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
GAP = 24  # pixels between two pictures side by side


def drawn_results(folder: Path, model: str, number: int) -> Results:
    """The true clip of each sentence for the first model, that of another one for the others."""
    stages = {name: make_stage(name, "eval", 1) for name in SCENARIOS}
    pairs = tuple(Pair(name, f"{name}_1", stage.actions[0].sentence)
                  for name, stage in stages.items())
    results = Results(folder, model, {}, Benchmark("drawn", pairs, len(pairs)), (0,), None)
    claim_results(results)
    for video in results.expected():
        stage = stages[video.pair.scenario]
        clip = render(stage, stage.actions[min(number, 1)], size=SIZE)
        write_image(results.image(video.pair), clip.frames[0])
        write_video(video.path, clip.frames, 8)
    return results


@contextmanager
def listening(store: Store, token: str = TOKEN) -> Iterator[str]:
    """The study on a free port of this machine, its dashboard by `token`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        app = build_app(store, secret=secrets.token_bytes(32), dashboard_token=token,
                        base_url=address)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def opened(browser: Browser, size: tuple[int, int], scheme: str, scale: float) -> Iterator[Page]:
    phone = size == PHONE
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, has_touch=phone,
        is_mobile=phone, device_scale_factor=scale)  # type: ignore[arg-type]
    try:
        yield context.new_page()
    finally:
        context.close()


def shot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def judged(page: Page, address: str) -> tuple[Image.Image, Image.Image]:
    """Walk to the first comparison: the page when the choice is open, and with the reasons."""
    page.goto(address)
    page.get_by_role("button", name="I agree").click()
    page.get_by_role("button", name="Start").click()
    page.wait_for_selector(".choice:enabled")
    page.wait_for_timeout(900)  # somewhere in the middle of the clips
    choosing = shot(page)
    page.locator(".choice").first.click()
    page.locator(".reason").first.click()
    page.locator(".reason").nth(1).click()
    page.wait_for_timeout(900)
    return choosing, shot(page)


def finish(page: Page, times: int) -> None:
    """Judge what is left, so that the dashboard has something to tell."""
    page.locator("#submit").click()
    for _ in range(times):
        page.wait_for_selector(".choice:enabled")
        page.locator(".choice").last.click()
        page.locator(".reason").nth(3).click()
        page.locator("#submit").click()


def beside(*pictures: Image.Image) -> Image.Image:
    """Pictures of one height in a row, on grey."""
    width = sum(one.width for one in pictures) + GAP * (len(pictures) + 1)
    sheet = Image.new("RGB", (width, pictures[0].height + 2 * GAP), (140, 146, 156))
    left = GAP
    for one in pictures:
        sheet.paste(one, (left, GAP))
        left += one.width + GAP
    return sheet


def save(picture: Image.Image, name: str) -> None:
    path = IMAGES / name
    picture.save(path, optimize=True)
    print(path.relative_to(ROOT))


def pictures(browser: Browser, address: str) -> None:
    with opened(browser, DESKTOP, "light", 1) as page:
        _, why = judged(page, address)
        save(why, "study_why.png")
        finish(page, 3)
    with opened(browser, DESKTOP, "dark", 1) as page:
        save(judged(page, address)[0], "study_choose_dark.png")
        finish(page, 2)
    with opened(browser, DESKTOP, "light", 1) as page:
        save(judged(page, address)[0], "study_choose.png")
    phones = []
    for scheme in ("light", "dark"):
        with opened(browser, PHONE, scheme, 1.5) as page:
            phones += judged(page, address)
    save(beside(*phones), "study_phone.png")
    with opened(browser, DESKTOP, "light", 1) as page:
        page.goto(f"{address}dashboard?token={TOKEN}")
        save(shot(page), "study_dashboard.png")


def main() -> None:
    found = subprocess.run(["sh", ROOT / "scripts" / "install_chromium.sh"], check=True,
                           stdout=subprocess.PIPE, text=True)
    with TemporaryDirectory() as held, sync_playwright() as playwright:
        folder = Path(held)
        ours, *others = (drawn_results(folder / str(number), model, number)
                         for number, model in enumerate(MODELS))
        rules = Protocol(title="Which video listens better?", gold_every=0)
        create_study(folder / "study.db", ours, others, rules)
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=FLAGS)
        with Store(folder / "study.db") as store, listening(store) as address:
            pictures(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
