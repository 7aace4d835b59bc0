"""Images: built from the checkout, named by what is in them, brought to the cluster's nodes."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from knative.e2e import cluster
from knative.e2e.shell import ROOT, attempt, run
from knative.e2e.stages import Progress, StageFailed

OURS = "dev.local/observatory"
EXAMPLE = "dev.local/observatory-word-count"


@dataclass(frozen=True, slots=True)
class Image:
    """A name with its tag."""

    name: str
    tag: str

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


def digest_of(paths: list[Path]) -> str:
    """A short name of the contents of files and folders, as git sees them (tracked or new, not ignored)."""
    names = sorted(run(["git", "ls-files", "-co", "--exclude-standard", "--", *map(str, paths)]).split("\n"))
    whole = hashlib.sha256()
    for name in names:
        if name and (ROOT / name).is_file():
            whole.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    return whole.hexdigest()[:12]


CONTENT = [ROOT / name for name in ("functions", "contracts", "eventing", "observability", "console/web", "requirements.txt")]


def build_all(progress: Progress, tasks: str = "") -> tuple[Image, Image]:
    """Our image (with a user's package of tasks in it, where one is named) and the example container, built side by side."""
    ours = Image(OURS, digest_of(CONTENT))
    example = Image(EXAMPLE, digest_of([ROOT / "functions" / "examples" / "word_count"]))

    def build(image: Image, dockerfile: str, context: Path) -> None:
        with progress.stage(f"image {image.name.rpartition('/')[2]}", "docker build") as stage:
            if _is_built(image):
                stage.result = f"{image.tag} was there"
                return
            run(["docker", "build", "-q", "-t", str(image), "-f", dockerfile, str(context)], timeout=900)
            stage.result = image.tag

    progress.together(
        [
            lambda: build(ours, "functions/Dockerfile", ROOT),
            lambda: build(example, "functions/examples/word_count/Dockerfile", ROOT / "functions" / "examples" / "word_count"),
        ]
    )
    if tasks:
        ours = build_with_tasks(progress, ours, Path(tasks))
    return ours, example


def build_with_tasks(progress: Progress, base: Image, package: Path) -> Image:
    """An image FROM ours with a user's package, its requirements and its collected catalogue."""
    if not (package / "__init__.py").is_file():
        raise StageFailed(f"{package} is no Python package (it has no __init__.py)", "make deploy TASKS=path/to/package; TASKS=none builds none in")
    contents = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(package.rglob("*")) if path.is_file())).hexdigest()[:8]
    image = Image(OURS, f"{base.tag}-{contents}")
    with progress.stage("image of tasks", f"the package {package.name} on top of ours") as stage:
        if not _is_built(image):
            words = ["docker", "build", "-q", "-t", str(image), "--build-arg", f"BASE={base}", "--build-arg", f"PACKAGE={package.name}",
                     "-f", str(ROOT / "functions" / "Dockerfile.tasks"), str(package.resolve().parent)]  # fmt: skip
            run(words, timeout=900, look="the package's requirements.txt, and what its modules import")
        stage.result = image.tag
    return image


def load(progress: Progress, images: list[Image]) -> None:
    """Brings images to the nodes of the kind cluster; a cluster of the user's gets them by its registry."""
    with progress.stage("load", "images to the nodes") as stage:
        if cluster.is_existing():
            stage.result = push(images)
            return
        nodes = run(["kind", "get", "nodes", "--name", cluster.NAME]).split()
        there = {node: run(["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "ls", "-q"], timeout=60) for node in nodes}
        missing = [image for image in images if not all(_lists(listing, image) for listing in there.values())]
        if missing:
            run(["kind", "load", "docker-image", "--name", cluster.NAME, *map(str, missing)], timeout=600)
        stage.result = f"{len(missing)} loaded, {len(images) - len(missing)} were there"


def push(images: list[Image]) -> str:
    registry = os.environ.get("IMAGE_REGISTRY", "")
    if not registry:
        raise StageFailed("a cluster of your own gets images from a registry", "IMAGE_REGISTRY=registry.example.com/team names one that docker may push to")
    for image in images:
        target = in_registry(image, registry)
        run(["docker", "tag", str(image), target])
        run(["docker", "push", "-q", target], timeout=900)
    return f"{len(images)} pushed to {registry}"


def in_registry(image: Image, registry: str) -> str:
    return f"{registry.rstrip('/')}/{image.name.rpartition('/')[2]}:{image.tag}"


def _lists(listing: str, image: Image) -> bool:
    return any(line.removeprefix("docker.io/") == str(image) for line in listing.split())


def _is_built(image: Image) -> bool:
    return attempt(["docker", "image", "inspect", str(image)]).returncode == 0
