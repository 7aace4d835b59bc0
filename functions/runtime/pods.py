"""How many pods each function has, asked of the Kubernetes API with the rights of this pod's ServiceAccount.

Kubernetes API, "List Pods of a Namespace"; the files are those that every pod with a ServiceAccount finds mounted
(kubernetes.io, "Accessing the API from within a Pod").
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError, StoreUnavailable

MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "https://kubernetes.default.svc"
SERVICE = "serving.knative.dev/service"
KEPT_SECONDS = 1.0  # screens ask each second, and there may be many of them


class ClusterPods:
    """Counts pods that run or start, by function. Answers are kept for a second."""

    def __init__(self, mounted: Path = MOUNTED, api: str = API) -> None:
        import ssl

        import httpx

        try:
            self._namespace = (mounted / "namespace").read_text().strip()
            self._token = mounted / "token"
            self._client = httpx.AsyncClient(base_url=api, verify=ssl.create_default_context(cafile=mounted / "ca.crt"), timeout=2.0)
        except OSError as error:
            raise ConfigurationError(f"this pod has no ServiceAccount to ask for pods with: {error}") from None
        self._kept: tuple[float, dict[str, int]] = (-KEPT_SECONDS, {})

    @staticmethod
    def is_here(mounted: Path = MOUNTED) -> bool:
        """Whether this process is in a pod that may ask."""
        return (mounted / "token").is_file()

    async def count(self) -> dict[str, int]:
        """function -> pods. Raises StoreUnavailable."""
        at, counts = self._kept
        if time.monotonic() - at < KEPT_SECONDS:
            return counts
        counts = self._counted(await self._list())
        self._kept = time.monotonic(), counts
        return counts

    async def _list(self) -> list[dict[str, Any]]:
        import httpx

        headers = {"authorization": f"Bearer {self._token.read_text().strip()}"}  # read each time: it is renewed on disk
        try:
            answer = await self._client.get(f"/api/v1/namespaces/{self._namespace}/pods", params={"labelSelector": SERVICE}, headers=headers)
            answer.raise_for_status()
            items: list[dict[str, Any]] = answer.json()["items"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise StoreUnavailable(f"the Kubernetes API does not tell the pods: {error}") from None
        return items

    @staticmethod
    def _counted(pods: list[dict[str, Any]]) -> dict[str, int]:
        alive = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") in ("Pending", "Running"))
        return dict(Counter(pod["metadata"]["labels"][SERVICE] for pod in alive))
