"""Third-party images, as the stack has them."""

import docker

from components.catalogue import Image
from components.containers import ROOT, Source, base_reference, built_reference


def ensure_image(engine: docker.DockerClient, source: Source, image: Image) -> str:
    """Its reference; built where no registry is asked."""
    if source == "pull":
        return image.pull
    reference, folder = built_reference(image), str(ROOT / "images" / image.name)
    engine.images.build(path=folder, tag=reference, buildargs={"BASE": base_reference()}, rm=True)
    return reference
