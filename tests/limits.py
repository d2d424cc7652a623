"""What a mask must fulfill, as params.yaml says."""

from typing import Any

from penumbra.base.params import project_root, read_yaml
from penumbra.imaging import CertificateLimits


def certificate_limits(**changed: Any) -> CertificateLimits:
    """The limits of params.yaml, some of them changed."""
    return CertificateLimits(**read_yaml(project_root() / "params.yaml")["ingest"]["certificate"] | changed)
