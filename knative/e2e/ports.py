"""`make ports`: opens every access point as a person would, and shows the table."""

import httpx

from knative.e2e import cluster, tunnel
from knative.e2e.access import ACCESS, NAMESPACE, AccessPoint
from knative.e2e.kubectl import Kubectl, wait_until
from knative.e2e.secrets import operator_key, read_secret
from knative.e2e.stages import Progress, StageFailed


def present(api: Kubectl) -> list[AccessPoint]:
    """The access points that this deployment has: Grafana is one by a setting."""
    return [point for point in ACCESS if point.upstream is None or api.exists("service", point.upstream[0])]


def opens(point: AccessPoint, address: str, key: str, timeout: float = 90.0) -> float:
    """Waits until an access point answers with a page (a function's to who shows the key, where there is one); the seconds that it
    took. Raises StageFailed."""
    headers = {"authorization": f"Bearer {key}"} if key and point.function else {}
    last = "nothing"

    def answers() -> bool:
        nonlocal last
        try:
            answer = httpx.get(f"{address}{point.path}", headers=headers, timeout=30.0, follow_redirects=True)
        except httpx.HTTPError as error:
            last = str(error) or type(error).__name__
            return False
        last = f"status {answer.status_code}"
        return answer.status_code < 400

    return wait_until(
        f"{point.name} at {address} opens", answers, timeout=timeout,
        look=lambda: f"it answers {last}; kubectl -n {NAMESPACE} logs deployment/proxy",
    )  # fmt: skip


def check_ports(progress: Progress) -> None:
    """Raises StageFailed naming the first access point that does not open."""
    api = cluster.kubectl().within(NAMESPACE)
    with progress.stage("ports", "opens every access point") as stage:
        points, key = present(api), operator_key(api)
        with tunnel.addresses(api) as addresses:
            progress.together([lambda point=point: opens(point, addresses[point.name], key) for point in points])  # type: ignore[misc]
        stage.result = f"{len(points)} of {len(ACCESS)} access points are there and open"


def table(api: Kubectl) -> str:
    """Address and login of every access point, for people."""
    rows, key, there_are = [], operator_key(api), present(api)
    for point in ACCESS:
        there = point in there_are
        login = f"key {key}" if key and point.function else ""
        if there and point.login:
            secret = read_secret(api, point.login)
            login = f"{secret['username']} / {secret['password']}"
        rows.append((point.name, point.address if there else "not installed", login))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"  {name:<{widths[0]}}  {address:<{widths[1]}}  {login}".rstrip() for name, address, login in rows]
    if cluster.is_existing():
        lines.append(f"\nThey are there while this runs:\n  {tunnel.by_hand(api)}")
    return "\n".join(lines)


def credentials() -> str:
    """The table, with the logins of the stores besides. Raises StageFailed when nothing is deployed."""
    api = cluster.kubectl().within(NAMESPACE)
    if not api.exists("secret", "connections"):
        raise StageFailed("nothing is deployed there", "`make up` does it")
    urls = read_secret(api, "connections")
    stores = "\n".join(f"  {name.removeprefix('OBSERVATORY_').removesuffix('_URL').lower():<10}  {url}" for name, url in sorted(urls.items()))
    return f"Access points:\n{table(api)}\n\nStores, inside the cluster:\n{stores}"
