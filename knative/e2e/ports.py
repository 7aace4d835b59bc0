"""`make ports`: opens every access point as a person would, and shows the table."""

import httpx

from knative.e2e import cluster
from knative.e2e.access import ACCESS, NAMESPACE, AccessPoint
from knative.e2e.kubectl import Kubectl, wait_until
from knative.e2e.secrets import read_secret
from knative.e2e.stages import Progress, StageFailed


def present(api: Kubectl) -> list[AccessPoint]:
    """The access points that this deployment has: Grafana is one by a setting."""
    return [point for point in ACCESS if point.upstream is None or api.exists("service", point.upstream[0])]


def opens(point: AccessPoint, timeout: float = 90.0) -> float:
    """Waits until an access point answers with a page; the seconds that it took. Raises StageFailed."""
    last = "nothing"

    def answers() -> bool:
        nonlocal last
        try:
            answer = httpx.get(f"{point.address}{point.path}", timeout=30.0, follow_redirects=True)
        except httpx.HTTPError as error:
            last = str(error) or type(error).__name__
            return False
        last = f"status {answer.status_code}"
        return answer.status_code < 400

    return wait_until(
        f"{point.name} at {point.address} opens", answers, timeout=timeout,
        look=lambda: f"it answers {last}; kubectl -n {NAMESPACE} logs deployment/proxy",
    )  # fmt: skip


def check_ports(progress: Progress) -> None:
    """Raises StageFailed naming the first access point that does not open."""
    api = cluster.kubectl().within(NAMESPACE)
    with progress.stage("ports", "opens every access point") as stage:
        if cluster.is_existing():
            stage.result = "a cluster of your own: see the Service `access` for its addresses"
            return
        points = present(api)
        progress.together([lambda point=point: opens(point) for point in points])  # type: ignore[misc]
        stage.result = f"{len(points)} of {len(ACCESS)} access points are there and open"


def table(api: Kubectl) -> str:
    """Address and login of every access point, for people."""
    rows = []
    for point in ACCESS:
        there = point in present(api)
        login = ""
        if there and point.login:
            secret = read_secret(api, point.login)
            login = f"{secret['username']} / {secret['password']}"
        rows.append((point.name, point.address if there else "not installed", login))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"  {name:<{widths[0]}}  {address:<{widths[1]}}  {login}".rstrip() for name, address, login in rows)


def credentials() -> str:
    """The table, with the logins of the stores besides. Raises StageFailed when nothing is deployed."""
    api = cluster.kubectl().within(NAMESPACE)
    if not api.exists("secret", "connections"):
        raise StageFailed("nothing is deployed there", "`make up` does it")
    urls = read_secret(api, "connections")
    stores = "\n".join(f"  {name.removeprefix('OBSERVATORY_').removesuffix('_URL').lower():<10}  {url}" for name, url in sorted(urls.items()))
    return f"Access points:\n{table(api)}\n\nStores, inside the cluster:\n{stores}"
