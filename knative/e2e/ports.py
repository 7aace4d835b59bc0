"""`make ports`: opens every access point as a person would, and shows the table."""

import json

import httpx

from knative.e2e import cluster, tunnel
from knative.e2e.access import ACCESS, NAMESPACE, AccessPoint
from knative.e2e.kubectl import Kubectl, wait_until
from knative.e2e.secrets import operator_key, read_secret
from knative.e2e.stages import Progress, StageFailed


def is_deployed(api: Kubectl) -> None:
    """Raises StageFailed when there is nothing to open."""
    if not api.exists("service", "access"):
        raise StageFailed(f"nothing is deployed there: no namespace {NAMESPACE} with a proxy in it", "`make up` does it")


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
        is_deployed(api)
        points, key = present(api), operator_key(api)
        with tunnel.addresses(api) as addresses:
            progress.together([lambda point=point: opens(point, addresses[point.name], key) for point in points])  # type: ignore[misc]
        stage.result = f"{len(points)} of {len(ACCESS)} access points are there and open"


def rows_of(api: Kubectl) -> list[tuple[str, str, str]]:
    """Name, address and login of every access point; the address is empty where it is not installed."""
    found, key, there_are = [], operator_key(api), present(api)
    for point in ACCESS:
        there = point in there_are
        login = f"key {key}" if key and point.function else ""
        if there and point.login:
            secret = read_secret(api, point.login)
            login = f"{secret['username']} / {secret['password']}"
        found.append((point.name, point.address if there else "", login))
    return found


def table(api: Kubectl) -> str:
    """Address and login of every access point, for people."""
    rows = [(name, address or "not installed", login) for name, address, login in rows_of(api)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"  {name:<{widths[0]}}  {address:<{widths[1]}}  {login}".rstrip() for name, address, login in rows]
    if cluster.is_existing():
        lines.append(f"\nThey are there while this runs:\n  {tunnel.by_hand(api)}")
    return "\n".join(lines)


def credentials(*, as_json: bool = False) -> str:
    """The table, with the logins of the stores besides; as JSON, a line each. Raises StageFailed when nothing is deployed."""
    api = cluster.kubectl().within(NAMESPACE)
    is_deployed(api)
    urls = {name.removeprefix("OBSERVATORY_").removesuffix("_URL").lower(): url for name, url in sorted(read_secret(api, "connections").items())}
    if as_json:
        points = [{"name": name, "address": address or None, "login": login or None} for name, address, login in rows_of(api)]
        return "\n".join(map(json.dumps, [*points, *({"name": name, "url": url} for name, url in urls.items())]))
    stores = "\n".join(f"  {name:<10}  {url}" for name, url in urls.items())
    return f"Access points:\n{table(api)}\n\nStores, inside the cluster:\n{stores}"
