"""Redis and MongoDB that are named and not there: the system starts, jobs run, and whoever asks is told which is away."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.system import ROOT, running_system
from tests.support.waiting import wait_until

NOWHERE = {
    "OBSERVATORY_REDIS_URL": "redis://:secret@127.0.0.1:9/0",
    "OBSERVATORY_MONGO_URL": "mongodb://ada:secret@127.0.0.1:9/observatory?serverSelectionTimeoutMS=200",
    "OBSERVATORY_WORKERS": "1",
}


def test_a_system_whose_redis_and_mongodb_are_away_at_the_start_runs_jobs_and_names_them(tmp_path: Path) -> None:
    with running_system(tmp_path / "data", **NOWHERE) as system:
        job = system.ended(system.submit("demo.noop"))
        assert job["status"] == "succeeded"
        refused = system.request("GET", "/v1/stats")
        assert (refused.status, refused.headers["retry-after"]) == (503, "2")
        assert "Redis at 127.0.0.1:9" in refused.json()["detail"]
        assert system.request("GET", f"/v1/events?subject=job/{job['id']}").json()["items"][0]["type"].endswith("succeeded.v1")
        stores = system.request("GET", "/v1/stores").json()["items"]
        assert [(store["name"], store["verdict"]) for store in stores] == [("jobs", "ok"), ("statistics", "fail"), ("event log", "fail")]
        assert 'observatory_store_up{store="statistics"} 0.0' in system.request("GET", "/metrics").body.decode()
        said = subprocess.run([sys.executable, "-m", "console", "--url", system.url, "doctor", "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert said.returncode == 1
        findings = {item["what"]: item for item in json.loads(said.stdout)["items"]}
        for what, setting in (("statistics", "OBSERVATORY_REDIS_URL"), ("event log", "OBSERVATORY_MONGO_URL")):
            assert findings[what]["verdict"] == "fail"
            assert setting in findings[what]["mend"]
        wait_until(lambda: system.said().count("reader.away") >= 2)
        assert system.request("GET", "/v1/dead-letters").json()["items"] == []
    assert "secret" not in system.said() + json.dumps(stores) + said.stdout
